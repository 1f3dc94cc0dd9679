"""`perdure workflows …`: publish documents on a server, and see to what is published."""

import argparse
import sys

from perdure.cli import given, server
from perdure.client import workflows
from perdure.errors import MEANINGS, Invalid

_EPILOG = """\
A version never changes once it is published: the same document again is the same answer, another one needs a new version.
Runs stay on the version that they were started with.

examples:
  perdure workflows publish orders.yaml
  perdure workflows list
  perdure workflows show shop.orders --version 1.2.0
  perdure workflows diff shop.orders 1.1.0 1.2.0
  perdure workflows disable shop.orders
"""
_COLUMNS = ("id", "state", "default_version", "title", "updated")
_STATES = {
    "enable": "Let runs of it start again.",
    "disable": "Let no new run of it start; those under way go on.",
    "archive": "Put it away; its runs and versions stay.",
    "restore": "Take it back from the archive; it is disabled then.",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """One verb each."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    publish = verbs.add_parser("publish", help="Publish documents as versions of their workflows.")
    publish.add_argument("files", nargs="+", metavar="FILE", help="A document in YAML or JSON; - for standard input.")
    listing = verbs.add_parser("list", help="List the workflows.")
    listing.add_argument("--state", choices=("enabled", "disabled", "archived"), default="", help="Only these.")
    show = verbs.add_parser("show", help="Show a workflow with its versions, or the text of one version.")
    show.add_argument("--version", metavar="VERSION", help="Print this version as it was written.")
    diff = verbs.add_parser("diff", help="Show what is different between two versions.")
    changes = [verbs.add_parser(name, help=help) for name, help in _STATES.items()]
    for verb in (show, diff, *changes):
        verb.add_argument("id", metavar="WORKFLOW", help="<namespace>.<name>, from `perdure workflows list`.")
    diff.add_argument("before", metavar="FROM")
    diff.add_argument("after", metavar="TO")
    for verb in (publish, listing, show, diff, *changes):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
        server.arguments(verb)


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    if options.verb == "publish":
        return _publish(options)
    if options.verb == "list":
        found = server.pages(options, lambda cursor: workflows.find(state=options.state, cursor=cursor))
        server.print_json(found) if options.json else server.print_rows(found, _COLUMNS)
    elif options.verb == "show":
        _show(options)
    elif options.verb == "diff":
        found_differences = server.ask(options, workflows.diff(options.id, options.before, options.after))
        if options.json:
            server.print_json(found_differences)
        else:
            sys.stdout.write(found_differences.text or "Nothing is different.\n")
    else:
        changed = server.ask(options, workflows.change(options.id, options.verb))
        server.print_json(changed) if options.json else print(f"{changed.id} is {changed.state}.")
    return 0


def _publish(options: argparse.Namespace) -> int:
    code = 0
    for file in options.files:
        document = given.read_bytes(file, "document")
        try:
            found = server.ask(options, workflows.publish(document))
        except Invalid as error:
            code = MEANINGS[Invalid].exit_code
            _refused(file, error)
            continue
        if options.json:
            server.print_json(found)
            continue
        said = "published" if found.is_new else "was published before"
        print(f"{found.workflow.id} {found.version.version} {said}.")
        for lint in found.version.lints:
            print(f"  {file}:{lint.line}:{lint.column}: {lint.message}", file=sys.stderr)
    return code


def _refused(file: str, error: Invalid) -> None:
    """Every finding with its place, as `perdure validate` prints them."""
    findings = error.details.get("findings") or []
    if not findings:
        print(f"{file}: {error.message}", file=sys.stderr)
    for finding in findings:
        place = f"{file}:{finding.get('line', 0)}:{finding.get('column', 0)}"
        print(f"{place}: {finding.get('severity')}: {finding.get('message')}", file=sys.stderr)
        if finding.get("hint"):
            print(f"  {finding['hint']}", file=sys.stderr)


def _show(options: argparse.Namespace) -> None:
    if options.version:
        found = server.ask(options, workflows.version(options.id, options.version))
        server.print_json(found) if options.json else sys.stdout.write(found.text)
        return
    workflow = server.ask(options, workflows.get(options.id))
    versions = server.pages(options, lambda cursor: workflows.versions(options.id, cursor=cursor))
    if options.json:
        server.print_json({"workflow": workflow, "versions": versions})
        return
    server.print_rows([workflow], _COLUMNS)
    print()
    server.print_rows(versions, ("version", "created", "by", "hash"))
