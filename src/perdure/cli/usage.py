"""`perdure usage`: what requests to models took and cost on a server."""

import argparse
import sys

from perdure.cli import server, tables
from perdure.client import usage
from perdure.errors import Invalid

_EPILOG = """\
Costs are US dollars, by the price at that time; `unpriced` counts requests whose price is not known.

examples:
  perdure usage --by day --by model
  perdure usage --by agent --since 2026-03-01
  perdure usage --rows --run 0192f1a4-…
  perdure usage --rows --csv --limit 100000 --since 2026-03-01 > march.csv
"""
_NAMES = ("day", "model", "key", "agent", "project")
_ROWS = ("at", "run", "agent", "key", "model", "input", "output", "cached", "cost")
_AT_ONCE = 10_000
_NONE = "No requests to models that fit."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which requests, and what they are added up by."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--by", action="append", default=[], choices=_NAMES, help="Add up by this (default: day, model)."
    )
    parser.add_argument("--rows", action="store_true", help="One line a request instead, the newest first.")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="Rows at most (default: 100).")
    for name in ("agent", "key", "project", "model"):
        parser.add_argument(f"--{name}", help=f"Only of this {name}.")
    parser.add_argument("--run", help="Only of this run (with --rows).")
    parser.add_argument("--since", metavar="DAY", help="The first day, UTC: 2026-03-01.")
    parser.add_argument("--until", metavar="DAY", help="The last day.")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="Print JSON.")
    form.add_argument("--csv", action="store_true", help="Print CSV, as the server exports it.")
    server.arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """Show it."""
    wanted = {name: getattr(options, name) for name in ("agent", "key", "project", "model", "since", "until")}
    if options.rows:
        return _rows(options, wanted)
    if options.run:
        raise Invalid("Usage is not added up by run.", hint="Give --rows with --run.")
    names = options.by or ["day", "model"]
    if options.csv:
        sys.stdout.write(server.ask(options, usage.export_sums(names, **wanted)).text)
        return 0
    found = server.ask(options, usage.sums(names, **wanted)).items
    if options.json:
        tables.print_json(found)
        return 0
    _print_sums(names, found)
    return 0


def _rows(options: argparse.Namespace, wanted: dict[str, str | None]) -> int:
    if options.limit < 1:
        raise Invalid("--limit must be 1 or more.")
    if options.csv:
        return _exported(options, wanted)
    found: list[usage.Usage] = []
    cursor: str | None = ""
    with server.opened(options) as client:
        while cursor is not None and len(found) < options.limit:
            most = min(200, options.limit - len(found))
            page = client.do(usage.find(limit=most, cursor=cursor, run=options.run, **wanted))
            found, cursor = found + page.items, page.next
    tables.print_json(found) if options.json else tables.print_rows(found, _ROWS, _NONE)
    return 0


def _exported(options: argparse.Namespace, wanted: dict[str, str | None]) -> int:
    """Page by page: the line of names once, whatever the rows are."""
    left, cursor = options.limit, ""
    with server.opened(options) as client:
        while True:
            part = client.do(usage.export(limit=min(_AT_ONCE, left), cursor=cursor, run=options.run, **wanted))
            text = part.text if not cursor else part.text.partition("\n")[2]
            sys.stdout.write(text)
            left -= _AT_ONCE
            if not part.next or left <= 0:
                return 0
            cursor = part.next


def _print_sums(names: list[str], found: list[usage.Sum]) -> None:
    if not found:
        print(f"perdure: {_NONE}", file=sys.stderr)
        return
    heading = [*names, "requests", "input", "output", "cost", "unpriced"]
    lines = [
        [*(one.by[name] or "-" for name in names), one.requests, one.input, one.output, f"{one.cost:.6f}", one.unpriced]
        for one in found
    ]
    cells = [[name.upper() for name in heading], *([tables.printable(str(cell)) for cell in line] for line in lines)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(heading))]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
