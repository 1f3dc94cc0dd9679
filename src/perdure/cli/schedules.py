"""`perdure schedules …`: when runs start by themselves on a server."""

import argparse

from perdure.cli import given, server
from perdure.client import Call, schedules

_EPILOG = """\
Documents bring the schedules that they contain; those made here come besides.

examples:
  perdure schedules create shop.report --cron "30 8 * * mon-fri" --zone Europe/Berlin --input '{"kind": "daily"}'
  perdure schedules create shop.poll --every PT5M --overlap skip
  perdure schedules firings sch_01…
"""
_COLUMNS = ("id", "workflow", "kind", "spec", "zone", "state", "held", "next")
_DRIVES = {"pause": "Let it rest.", "resume": "Let it go on.", "fire": "Fire now, besides its times."}


def arguments(parser: argparse.ArgumentParser) -> None:
    """One verb each."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="List the schedules.")
    listing.add_argument("--workflow", default="", help="Only those of this workflow.")
    create = verbs.add_parser("create", help="Make a schedule.")
    create.add_argument("workflow", metavar="WORKFLOW", help="<namespace>.<name>")
    when = create.add_mutually_exclusive_group(required=True)
    when.add_argument("--cron", help="Minute, hour, day, month, weekday.")
    when.add_argument("--every", metavar="DURATION", help="ISO 8601, for example PT5M.")
    when.add_argument("--after", metavar="DURATION", help="After the run before has ended.")
    create.add_argument("--version", help="A version (default: the highest at that time).")
    create.add_argument("--zone", default="UTC", help="Time zone of --cron (default: UTC).")
    create.add_argument("--input", metavar="JSON|@FILE", help="Input of each run.")
    create.add_argument("--catch-up", choices=("none", "last", "all"), help="What was missed (default: last).")
    create.add_argument(
        "--overlap", choices=("skip", "queue", "allow", "cancel"), help="While a run goes on (default: skip)."
    )
    delete = verbs.add_parser("delete", help="End a schedule; its runs go on.")
    firings = verbs.add_parser("firings", help="List when it came due, and what became of it.")
    drives = [verbs.add_parser(name, help=help) for name, help in _DRIVES.items()]
    for verb in (delete, firings, *drives):
        verb.add_argument("id", metavar="ID", help="The schedule's id, from `perdure schedules list`.")
    for verb in (listing, create, delete, firings, *drives):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
        server.arguments(verb)


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    if options.verb == "list":
        found = server.pages(options, lambda cursor: schedules.find(workflow=options.workflow, cursor=cursor))
        server.print_json(found) if options.json else server.print_rows(found, _COLUMNS)
    elif options.verb == "firings":
        fired = server.pages(options, lambda cursor: schedules.firings(options.id, cursor=cursor))
        server.print_json(fired) if options.json else server.print_rows(
            fired, ("due", "state", "run", "missed", "detail")
        )
    elif options.verb == "delete":
        server.ask(options, schedules.delete(options.id))
        print("The schedule is gone; runs that it started go on.")
    elif options.verb == "fire":
        firing = server.ask(options, schedules.fire(options.id))
        server.print_json(firing) if options.json else print(f"{firing.state}: run {firing.run}")
    else:
        schedule = server.ask(options, _change(options))
        server.print_json(schedule) if options.json else server.print_rows([schedule], _COLUMNS)
    return 0


def _change(options: argparse.Namespace) -> Call[schedules.Schedule]:
    if options.verb != "create":
        return {"pause": schedules.pause, "resume": schedules.resume}[options.verb](options.id)
    return schedules.create(
        options.workflow, cron=options.cron, every=options.every, after=options.after, version=options.version,
        zone=options.zone, input=given.json_argument(options.input, "--input"),
        catch_up=options.catch_up, overlap=options.overlap,
    )  # fmt: skip
