"""`perdure schedules …`: when runs start by themselves on a server."""

import argparse

import msgspec

from perdure.cli import given, server, tables
from perdure.client import Call, schedules
from perdure.errors import Invalid

_EPILOG = """\
Documents bring the schedules that they contain; those made here come besides.

examples:
  perdure schedules create shop.report --cron "30 8 * * mon-fri" --zone Europe/Berlin --input '{"kind": "daily"}'
  perdure schedules create shop.poll --every PT5M --overlap skip
  perdure schedules create shop.pack --on '{"one": {"with": {"type": "com.example.paid"}}}'
  perdure schedules change sch_01… --cron "0 9 * * *" --zone Asia/Tokyo
  perdure schedules firings sch_01…
"""
_COLUMNS = ("id", "workflow", "kind", "spec", "zone", "state", "held", "next")
_NONE = "No schedules here; see `perdure schedules create --help`, or the `schedule` of a document."
_DRIVES = {"pause": "Let it rest.", "resume": "Let it go on.", "fire": "Fire now, besides its times."}


def arguments(parser: argparse.ArgumentParser) -> None:
    """One verb each."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="List the schedules.")
    listing.add_argument("--workflow", default="", help="Only those of this workflow.")
    listing.add_argument("--project", default="", metavar="PROJECT", help="Only those of this project, or namespace.")
    create = verbs.add_parser("create", help="Make a schedule.")
    create.add_argument("workflow", metavar="WORKFLOW", help="<namespace>.<name>")
    when = create.add_mutually_exclusive_group(required=True)
    when.add_argument("--cron", help="Minute, hour, day, month, weekday.")
    when.add_argument("--every", metavar="DURATION", help="ISO 8601, for example PT5M.")
    when.add_argument("--after", metavar="DURATION", help="After the run before has ended.")
    when.add_argument("--on", metavar="JSON|@FILE", help="On events: what `schedule.on` of a document holds.")
    create.add_argument("--zone", default="UTC", help="Time zone of --cron (default: UTC).")
    change = verbs.add_parser("change", help="Change a schedule; what is not named stays.")
    when = change.add_mutually_exclusive_group()
    when.add_argument("--cron", help="Minute, hour, day, month, weekday.")
    when.add_argument("--every", metavar="DURATION", help="ISO 8601, for example PT5M.")
    change.add_argument("--zone", help="Time zone of --cron.")
    _policies(create, " (default: {})")
    _policies(change, "")
    show = verbs.add_parser("show", help="Show a schedule with its input and policies.")
    delete = verbs.add_parser("delete", help="End a schedule; its runs go on.")
    firings = verbs.add_parser("firings", help="List when it came due, and what became of it.")
    drives = [verbs.add_parser(name, help=help) for name, help in _DRIVES.items()]
    for verb in (change, show, delete, firings, *drives):
        verb.add_argument("id", metavar="ID", help="The schedule's id, from `perdure schedules list`.")
    for verb in (listing, create, change, show, delete, firings, *drives):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
        server.arguments(verb)


def _policies(verb: argparse.ArgumentParser, default: str) -> None:
    verb.add_argument("--version", help="A version" + default.format("the highest at that time") + ".")
    verb.add_argument("--input", metavar="JSON|@FILE", help="Input of each run.")
    verb.add_argument(
        "--catch-up", choices=("none", "last", "all"), help="What was missed" + default.format("last") + "."
    )
    verb.add_argument(
        "--window", type=int, metavar="S", help="Seconds that --catch-up all looks back" + default.format("a day") + "."
    )
    verb.add_argument(
        "--overlap",
        choices=("skip", "queue", "allow", "cancel"),
        help="While a run goes on" + default.format("skip") + ".",
    )


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    if options.verb == "list":
        found = server.pages(
            options, lambda cursor: schedules.find(workflow=options.workflow, project=options.project, cursor=cursor)
        )
        tables.print_json(found) if options.json else tables.print_rows([_timed(one) for one in found], _COLUMNS, _NONE)
    elif options.verb == "firings":
        fired = server.pages(options, lambda cursor: schedules.firings(options.id, cursor=cursor))
        tables.print_json(fired) if options.json else tables.print_rows(
            fired, ("due", "state", "run", "missed", "detail"), "It has not come due yet."
        )
    elif options.verb == "delete":
        server.ask(options, schedules.delete(options.id))
        print("The schedule is gone; runs that it started go on.")
    elif options.verb == "show":
        _show(server.ask(options, schedules.get(options.id)), options.json)
    elif options.verb == "fire":
        firing = server.ask(options, schedules.fire(options.id))
        tables.print_json(firing) if options.json else print(f"It fires: run {firing.run}.")
    else:
        schedule = server.ask(options, _change(options))
        tables.print_json(schedule) if options.json else tables.print_rows([_timed(schedule)], _COLUMNS)
    return 0


def _timed(schedule: schedules.Schedule) -> schedules.Schedule:
    """With the unit of what is a number of seconds."""
    if not isinstance(schedule.spec, int | float):
        return schedule
    return msgspec.structs.replace(schedule, spec=f"{schedule.spec:g} s")


def _show(schedule: schedules.Schedule, as_json: bool) -> None:
    if as_json:
        tables.print_json(schedule)
        return
    state = schedule.state + (", held: its workflow is not enabled" if schedule.held else "")
    schedule = _timed(schedule)
    spec = tables.printable(schedule.spec if isinstance(schedule.spec, str) else tables.text_of(schedule.spec))
    tables.print_facts(
        {
            "schedule": schedule.id,
            "workflow": schedule.workflow + (f" {schedule.version}" if schedule.version else ""),
            "from": "its document" if schedule.of_document else "here",
            "when": f"{schedule.kind} {spec}" + (f" ({schedule.zone})" if schedule.kind == "cron" else ""),
            "state": state,
            "next": tables.moment(schedule.next),
            "last run": schedule.last_run,
            "catch-up": schedule.catch_up,
            "overlap": schedule.overlap,
            "input": tables.text_of(schedule.input),
        }
    )


def _change(options: argparse.Namespace) -> Call[schedules.Schedule]:
    if options.verb not in ("create", "change"):
        return {"pause": schedules.pause, "resume": schedules.resume}[options.verb](options.id)
    given_here = {
        "cron": options.cron, "every": options.every, "version": options.version, "zone": options.zone,
        "input": given.json_argument(options.input, "--input"), "catch_up": options.catch_up,
        "window": options.window, "overlap": options.overlap,
    }  # fmt: skip
    if options.verb == "create":
        on = given.json_argument(options.on, "--on")
        return schedules.create(options.workflow, after=options.after, on=on, **given_here)
    changes = {name: value for name, value in given_here.items() if value is not None}
    if not changes:
        raise Invalid("Say what shall change.", hint="See `perdure schedules change --help`.")
    return schedules.change(options.id, **changes)
