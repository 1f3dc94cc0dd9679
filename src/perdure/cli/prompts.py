"""`perdure prompts …`: named texts in versions on a server, which instructions of agents are made of."""

import argparse
import sys

from perdure.cli import given, server, tables
from perdure.client import prompts
from perdure.errors import Invalid

_EPILOG = """\
A prompt is a text with expressions in it: `You help ${ .name }.` An agent names it and a version in the place of its
instruction (`prompt: { name: greeting, version: 2 }`), and whoever chats gives the values. A version never changes.

examples:
  perdure prompts write greeting "You help ${ .name }."
  perdure prompts write greeting @greeting.txt
  perdure prompts list
  perdure prompts show greeting --version 1
  perdure prompts versions greeting
"""
_COLUMNS = ("name", "version", "created", "by", "text")
_VERSIONS = ("version", "created", "by", "text")
_NONE = "No prompts here yet; `perdure prompts write NAME TEXT` writes one."


def arguments(parser: argparse.ArgumentParser) -> None:
    """One verb each."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    write = verbs.add_parser("write", help="Write a prompt, or its next version.")
    listing = verbs.add_parser("list", help="List the prompts, each in its newest version.")
    show = verbs.add_parser("show", help="Print a prompt as it was written.")
    versions = verbs.add_parser("versions", help="List the versions of a prompt.")
    for verb in (write, show, versions):
        verb.add_argument("name", metavar="NAME", help="Lower-case letters, digits and hyphens.")
    write.add_argument("text", metavar="TEXT|@FILE", help="What it says (`-`: standard input).")
    show.add_argument("--version", type=int, help="Its number (default: the newest).")
    for verb in (write, listing, show, versions):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
        server.arguments(verb)


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    if options.verb == "list":
        found = server.pages(options, prompts.find)
        tables.print_json(found) if options.json else tables.print_rows(found, _COLUMNS, _NONE)
    elif options.verb == "versions":
        found = server.pages(options, lambda cursor: prompts.versions(options.name, cursor=cursor))
        tables.print_json(found) if options.json else tables.print_rows(found, _VERSIONS)
    elif options.verb == "show":
        _show(options)
    else:
        written = server.ask(options, prompts.write(options.name, _text(options)))
        tables.print_json(written) if options.json else print(f"{written.name} version {written.version}")
    return 0


def _show(options: argparse.Namespace) -> None:
    wish = prompts.get(options.name) if options.version is None else prompts.version(options.name, options.version)
    found: prompts.Prompt = server.ask(options, wish)
    if options.json:
        tables.print_json(found)
        return
    text = found.text if found.text.endswith("\n") else f"{found.text}\n"
    sys.stdout.write(tables.lines_of(text) if sys.stdout.isatty() else text)


def _text(options: argparse.Namespace) -> str:
    text: str = options.text
    if text != given.STDIN and not text.startswith("@"):
        return text
    try:
        return given.read_bytes(text.removeprefix("@"), "prompt").decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid("The prompt is not UTF-8 text.") from None
