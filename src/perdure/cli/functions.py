"""`perdure functions list|show`: what a document can call here."""

import argparse
import sys

import msgspec

from perdure.cli import apart, drive, given

_EPILOG = """\
examples:
  perdure functions list
  perdure functions show infer
  perdure functions list --functions my_functions
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """List, or show one."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="List the functions with a sentence each.")
    showing = verbs.add_parser("show", help="Show one function with the schemas of its arguments and its output.")
    showing.add_argument("name", metavar="NAME", help="A name from the list.")
    for verb in (listing, showing):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
        drive.functions_argument(verb)


def execute(options: argparse.Namespace) -> int:
    """Print one or all."""
    from perdure import wiring  # heavy: all functions; not needed by --help

    with apart.functions():
        table = wiring.table(given.read_settings(), modules=options.functions)
        names = table.names()
    if options.verb == "list":
        rows = [table.get(name, None) for name in names]
        if options.json:
            _print_json(
                [
                    {"name": row.name, "version": row.version, "effect": row.effect, "summary": row.summary}
                    for row in rows
                ]
            )
        else:
            width = max((len(row.name) for row in rows), default=0)
            for row in rows:
                print(f"{row.name:{width}}  {row.version:8} {row.effect:11} {row.summary}")
        return 0
    function = table.get(options.name, None)
    description = {
        "name": function.name,
        "version": function.version,
        "effect": function.effect,
        "summary": function.summary,
        "input": function.input_schema,
        "output": function.output_schema,
    }
    if options.json:
        _print_json(description)
        return 0
    print(f"{function.name} {function.version} ({function.effect})\n{function.summary}")
    for part in ("input", "output"):
        print(f"\n{part}:")
        print(msgspec.json.format(msgspec.json.encode(description[part]), indent=2).decode())
    return 0


def _print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")
