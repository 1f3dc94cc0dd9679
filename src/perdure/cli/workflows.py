"""`perdure workflows …`: publish documents on a server, and see to what is published."""

import argparse
import sys
from typing import TextIO

import msgspec

from perdure.cli import given, server, tables
from perdure.client import workflows
from perdure.errors import MEANINGS, Invalid

_EPILOG = """\
A version never changes once it is published: the same document again is the same answer, another one needs a new version.
Runs stay on the version that they were started with.

examples:
  perdure workflows validate orders.yaml
  perdure workflows publish orders.yaml
  perdure workflows list
  perdure workflows show shop.orders --version 1.2.0
  perdure workflows diff shop.orders 1.1.0 1.2.0
  perdure workflows disable shop.orders
"""
_COLUMNS = ("id", "state", "default_version", "title", "updated")
_NONE = "No workflows here yet; `perdure workflows publish FILE` publishes one."
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
    check = verbs.add_parser("validate", help="Check documents on the server, with the functions that it has.")
    check.add_argument("files", nargs="+", metavar="FILE", help="A document in YAML or JSON; - for standard input.")
    listing = verbs.add_parser("list", help="List the workflows.")
    listing.add_argument("--state", choices=("enabled", "disabled", "archived"), default="", help="Only these.")
    listing.add_argument("--project", default="", metavar="PROJECT", help="Only those of this project, or namespace.")
    show = verbs.add_parser("show", help="Show a workflow with its versions, or the text of one version.")
    show.add_argument("--version", metavar="VERSION", help="Print this version as it was written.")
    diff = verbs.add_parser("diff", help="Show what is different between two versions.")
    changes = [verbs.add_parser(name, help=help) for name, help in _STATES.items()]
    for verb in (show, diff, *changes):
        verb.add_argument("id", metavar="WORKFLOW", help="<namespace>.<name>, from `perdure workflows list`.")
    diff.add_argument("before", metavar="FROM")
    diff.add_argument("after", metavar="TO")
    for verb in (publish, check, listing, show, diff, *changes):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
        server.arguments(verb)


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    if options.verb == "publish":
        return _publish(options)
    if options.verb == "validate":
        return _validate(options)
    if options.verb == "list":
        found = server.pages(
            options, lambda cursor: workflows.find(state=options.state, project=options.project, cursor=cursor)
        )
        tables.print_json(found) if options.json else tables.print_rows(found, _COLUMNS, _NONE)
    elif options.verb == "show":
        _show(options)
    elif options.verb == "diff":
        found_differences = server.ask(options, workflows.diff(options.id, options.before, options.after))
        if options.json:
            tables.print_json(found_differences)
        else:
            print((found_differences.text or "Nothing is different.").removesuffix("\n"))
    else:
        changed = server.ask(options, workflows.change(options.id, options.verb))
        tables.print_json(changed) if options.json else print(f"{changed.id} is {changed.state}.")
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
            tables.print_json(found)
            continue
        said = "published" if found.is_new else "was published before"
        print(f"{found.workflow.id} {found.version.version} {said}.")
        for lint in found.version.lints:
            print(f"  {file}:{lint.line}:{lint.column}: {lint.message}", file=sys.stderr)
    return code


def _validate(options: argparse.Namespace) -> int:
    """The findings on standard output, as `perdure validate` has it; 2 when a document could not be published."""
    answers = {
        file: server.ask(options, workflows.validate(given.read_bytes(file, "document"))) for file in options.files
    }
    if options.json:
        tables.print_json(answers)
    else:
        for file, answer in answers.items():
            for finding in answer.findings:
                _print_finding(file, finding, sys.stdout)
        found = sum(len(answer.findings) for answer in answers.values())
        count = "1 document" if len(answers) == 1 else f"{len(answers)} documents"
        print(f"{count} checked, {found or 'nothing'} found")
    return 0 if all(answer.valid for answer in answers.values()) else MEANINGS[Invalid].exit_code


def _refused(file: str, error: Invalid) -> None:
    """Every finding with its place, as `perdure validate` prints them."""
    findings = msgspec.convert(error.details.get("findings") or [], list[workflows.Finding])
    if not findings:
        print(f"{file}: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
    for finding in findings:
        _print_finding(file, finding, sys.stderr)


def _print_finding(file: str, finding: workflows.Finding, stream: TextIO) -> None:
    message = tables.printable(finding.message)
    print(f"{file}:{finding.line}:{finding.column}: {finding.severity}: {message}", file=stream)
    if finding.hint:
        print(f"  {tables.printable(finding.hint)}", file=stream)


def _show(options: argparse.Namespace) -> None:
    if options.version:
        found = server.ask(options, workflows.version(options.id, options.version))
        tables.print_json(found) if options.json else sys.stdout.write(found.text)
        return
    workflow = server.ask(options, workflows.get(options.id))
    versions = server.pages(options, lambda cursor: workflows.versions(options.id, cursor=cursor))
    if options.json:
        tables.print_json({"workflow": workflow, "versions": versions})
        return
    tables.print_rows([workflow], _COLUMNS)
    print()
    tables.print_rows(versions, ("version", "created", "by", "hash"))
