"""`perdure runs …`: list, show and mend runs, of a data directory or of a server (`server_runs.py`)."""

import argparse
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar, get_args

import msgspec

from perdure.cli import drive, given, progress, validate
from perdure.errors import MEANINGS, Invalid, NotFound
from perdure.language.values import Json
from perdure.ports.engine import Entry, Query, Run, Status

if TYPE_CHECKING:
    from perdure.wiring import Installation

_Answer = TypeVar("_Answer")

_EPILOG = """\
`list`, `show` and `history` only look: they work at any time, also while another process runs in the directory. The
other verbs change something, and one process at a time may do that.

After `perdure login`, or with --server, all this is about the runs of a server; --data names a journal again.

examples:
  perdure runs list --status faulted
  perdure runs show 0192f1a4-…
  perdure runs resume 0192f1a4-…
  perdure runs retry 0192f1a4-…
  perdure runs skip 0192f1a4-… --output '{"approved": true}'
  perdure runs fork 0192f1a4-… --path /do/1/ship
"""

_SERVER_ONLY = ("start", "follow", "suspend", "tasks")
_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000}
_LONGEST_AGE = 9
_RUN_HELP = "The run's id, as `perdure run` and `perdure runs list` show it."
_PATH_HELP = "Position of the task, as `perdure runs history` shows it"


def arguments(parser: argparse.ArgumentParser) -> None:
    """One verb each, with its options."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = _verb(verbs, "list", "List runs, the newest first.", run=False)
    listing.add_argument("--status", choices=get_args(Status), help="Only runs of this status.")
    listing.add_argument("--workflow", metavar="NAME", help="Only runs of this workflow.")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="At most so many (default: 20).")
    listing.add_argument("--json", action="store_true", help="Print a JSON array.")
    showing = _verb(verbs, "show", "Show one run: its status, input, output and fault.")
    showing.add_argument("--json", action="store_true", help="Print JSON.")
    history = _verb(verbs, "history", "Print the history of a run, one line an entry.")
    history.add_argument("--json", action="store_true", help="Print a JSON array.")
    drive.functions_argument(history)
    resume = _verb(verbs, "resume", "Go on with an interrupted or suspended run, to its end.", run=False, drives=True)
    resume.add_argument("run", nargs="?", metavar="ID", help=_RUN_HELP)
    resume.add_argument("--all", action="store_true", help="Go on with every run that has not ended.")
    cancel = _verb(verbs, "cancel", "Cancel a run.", drives=True)
    cancel.add_argument("--compensate", action="store_true", help="Run the compensations of finished tasks first.")
    retry = _verb(verbs, "retry", "Try the faulted task of a run again, and go on to the end.", drives=True)
    retry.add_argument("--path", help=f"{_PATH_HELP} (default: the task that faulted).")
    skip = _verb(verbs, "skip", "End the faulted task of a run with an output of yours, and go on.", drives=True)
    skip.add_argument("--path", help=f"{_PATH_HELP} (default: the task that faulted).")
    skip.add_argument("--output", metavar="JSON|@FILE", help="The task's output (default: its input).")
    fork = _verb(verbs, "fork", "Start a new run with the history of another one up to a task.", drives=True)
    fork.add_argument("--path", help=f"{_PATH_HELP} (default: the beginning).")
    fork.add_argument("--input", metavar="JSON|@FILE", help="Another input; only without --path.")
    fork.add_argument("--document", metavar="FILE", help="Another document that the kept history must fit.")
    delete = _verb(verbs, "delete", "Forget a run that has ended, with all it left in the journal.")
    prune = _verb(
        verbs,
        "prune",
        "Forget all runs that ended some time ago. On a Temporal server, which forgets them by itself: what is left of them.",
        run=False,
    )
    prune.add_argument(
        "--before", required=True, metavar="AGE", help="Runs that ended longer ago than this: 30d, 12h, 45m, 10s."
    )
    _server_verbs(verbs)
    fork.add_argument("--version", metavar="VERSION", help="On a server: another published version.")
    for verb in (delete, prune):
        verb.add_argument("--vacuum", action="store_true", help="Make the file smaller too; takes a while.")


def _server_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """What only a server has: a journal's runs are driven by `perdure run`."""
    start = _verb(verbs, "start", "On a server: start a run of a published workflow, and print its id.", run=False)
    start.add_argument("workflow", metavar="WORKFLOW", help="<namespace>.<name>, from `perdure workflows list`.")
    start.add_argument("--input", metavar="JSON|@FILE", help="The run's input (default: {}).")
    start.add_argument("--version", metavar="VERSION", help="A version (default: the highest).")
    start.add_argument("--run", metavar="ID", help="The run's id (default: a new one).")
    start.add_argument("--follow", action="store_true", help="Follow it to its end, and print its output.")
    _verb(verbs, "follow", "On a server: follow a run to its end, and print its output.")
    _verb(verbs, "suspend", "On a server: hold a run; what is under way ends, nothing new begins.")
    _verb(verbs, "tasks", "On a server: list the tasks of a run that are under way, and what they wait for.")


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    from perdure.cli import server  # light, and so is asking; the client is loaded for a server only

    if server.is_meant(options) or options.verb in _SERVER_ONLY:
        from perdure.cli import server_runs

        return server_runs.execute(options)
    desk = drive.Desk(options)
    try:
        return _VERBS[options.verb](desk, options)
    except drive.Interrupted:
        return desk.interrupted()
    except Invalid as error:
        if "there is no function" not in error.message:
            raise
        hint = "Give the module that holds it with --functions, as when the run was started."
        raise Invalid(error.message, hint=hint) from None


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    *,
    run: bool = True,
    drives: bool = False,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=summary, description=summary)
    if run:
        parser.add_argument("run", metavar="ID", help=_RUN_HELP)
    if drives:
        drive.drive_arguments(parser)
    else:
        drive.data_argument(parser)
    parser.add_argument("--server", metavar="URL", help="Do it on this server (default: that of `perdure login`).")
    return parser


def _list(desk: drive.Desk, options: argparse.Namespace) -> int:
    if options.limit < 1:
        raise Invalid("--limit must be 1 or more.")

    try:
        runs = _look(desk, lambda runs: runs.find(desk.tenant, _query(options), limit=options.limit))
    except NotFound:
        runs = []
    if options.json:
        _print_json(runs)
        return 0
    for run in runs:
        print(f"{run.id}  {run.status:9}  {moment(run.started)}  {run.namespace}/{run.name} {run.version}")
    if not runs:
        where = desk.directory if desk.has_journal else desk.settings.temporal_address
        print(f"perdure: No runs in {where}.", file=sys.stderr)
    return 0


def _query(options: argparse.Namespace) -> Query:
    return Query(statuses=(options.status,) if options.status else (), workflow=options.workflow)


def _show(desk: drive.Desk, options: argparse.Namespace) -> int:
    run = _look(desk, lambda runs: runs.describe(desk.tenant, options.run))
    if options.json:
        _print_json(run)
        return 0
    rows = {
        "run": run.id,
        "workflow": f"{run.namespace}/{run.name} {run.version}",
        "status": run.status,
        "started": moment(run.started),
        "updated": moment(run.updated),
        "ended": moment(run.ended) if run.ended is not None else None,
        "forked from": run.origin,
        "input": _text(run.input),
        "output": _text(run.output) if run.status == "completed" else None,
        "fault": _text(run.error) if run.error is not None else None,
    }
    for name, value in rows.items():
        if value is not None:
            print(f"{name + ':':13}{value}")
    return 0


def _history(desk: drive.Desk, options: argparse.Namespace) -> int:
    entries = _look(desk, lambda runs: runs.history(desk.tenant, options.run))
    if options.json:
        _print_json(entries)
        return 0
    for entry in entries:
        print(f"{entry.number:5}  {moment(entry.at)}  {progress.sentence(entry)}")
    return 0


def _resume(desk: drive.Desk, options: argparse.Namespace) -> int:
    if options.all == (options.run is not None):
        raise Invalid("Say which run: give its id, or --all.", hint="`perdure runs list` shows the ids.")
    if options.all:
        return _resume_all(desk)

    async def resume(installation: "Installation") -> str:
        run = await installation.engine.describe(desk.tenant, options.run)
        if run.ended is None:
            await installation.engine.resume(desk.tenant, run.id)
        return run.id

    desk.must_exist()
    return drive.drive(desk, resume)


def _resume_all(desk: drive.Desk) -> int:
    desk.must_exist()

    async def whole() -> list[Run]:
        async with desk.opened() as installation:
            engine = installation.engine
            runs = await _not_ended(desk, installation)
            for run in runs:
                if run.status == "suspended":
                    await engine.resume(desk.tenant, run.id)
            return [await desk.to_its_end(installation, run.id) for run in runs]

    ended = desk.settle(whole)
    if not ended:
        print("perdure: Every run has ended.", file=sys.stderr)
    for run in ended:
        print(f"{run.id}  {run.status}")
    return 0 if all(run.status == "completed" for run in ended) else 1


async def _not_ended(desk: drive.Desk, installation: "Installation") -> list[Run]:
    runs: list[Run] = []
    before: str | None = None
    while page := await installation.engine.find(desk.tenant, limit=1000, before=before):
        runs += [run for run in page if run.ended is None]
        before = page[-1].id
    return runs[::-1]


def _cancel(desk: drive.Desk, options: argparse.Namespace) -> int:
    async def cancel(installation: "Installation") -> Run:
        await installation.engine.cancel(desk.tenant, options.run, compensate=options.compensate)
        return await desk.to_its_end(installation, options.run)

    run = _ask(desk, cancel)
    print(f"perdure: The run {run.id} is {run.status}.", file=sys.stderr)
    return 0 if run.status == "cancelled" else 1


def _retry(desk: drive.Desk, options: argparse.Namespace) -> int:
    async def retry(installation: "Installation") -> str:
        await installation.engine.retry(desk.tenant, options.run, options.path)
        return str(options.run)

    desk.must_exist()
    return drive.drive(desk, retry)


def _skip(desk: drive.Desk, options: argparse.Namespace) -> int:
    output = given.json_argument(options.output, "--output")

    async def skip(installation: "Installation") -> str:
        await installation.engine.skip(
            desk.tenant, options.run, options.path, output=output, has_output=options.output is not None
        )
        return str(options.run)

    desk.must_exist()
    return drive.drive(desk, skip)


def _fork(desk: drive.Desk, options: argparse.Namespace) -> int:
    if options.path and options.input:
        raise Invalid("--input replaces the run's input, so it does not go with --path.")
    input_ = given.json_argument(options.input, "--input")
    desk.must_exist()
    document = None
    if options.document:
        reading = given.runnable(options.document)
        if not validate.are_runnable({options.document: reading}, desk.installation.table):
            return MEANINGS[Invalid].exit_code
        document = reading.value

    async def fork(installation: "Installation") -> str:
        run = await installation.engine.fork(
            desk.tenant, options.run, path=options.path, input=input_, document=document
        )
        print(f"perdure: The new run is {run}.", file=sys.stderr)
        return run

    return drive.drive(desk, fork)


def _delete(desk: drive.Desk, options: argparse.Namespace) -> int:
    from perdure.engines.embedded import retention  # the engine; not needed by --help

    _must_be_a_journal(desk)
    retention.delete(desk.directory, desk.tenant, options.run)
    print(f"perdure: The run {options.run} is forgotten.", file=sys.stderr)
    if options.vacuum:
        retention.compact(desk.directory)
    return 0


def _prune(desk: drive.Desk, options: argparse.Namespace) -> int:
    from perdure.engines.embedded import retention  # the engine; not needed by --help

    before = time.time_ns() // 1_000_000 - _age(options.before)
    if not desk.has_journal:
        return _sweep(desk, before)
    desk.must_exist()
    count = retention.prune(desk.directory, desk.tenant, before)
    print(f"perdure: {'1 run is' if count == 1 else f'{count} runs are'} forgotten.", file=sys.stderr)
    if options.vacuum:
        retention.compact(desk.directory)
    return 0


def _sweep(desk: drive.Desk, before: int) -> int:
    """A server forgets runs by itself; their big values are elsewhere."""

    async def work(installation: "Installation") -> int:
        from perdure.engines.temporal.engine import TemporalEngine  # heavy; loaded already by now

        assert isinstance(installation.engine, TemporalEngine)
        return await installation.engine.sweep(desk.tenant, before)

    count = _ask(desk, work)
    print(
        f"perdure: {'1 big value' if count == 1 else f'{count} big values'} of forgotten runs deleted.", file=sys.stderr
    )
    return 0


def _must_be_a_journal(desk: drive.Desk) -> None:
    if not desk.has_journal:
        raise Invalid(
            f"`perdure runs {desk.options.verb}` works on a journal; a Temporal server forgets runs by itself.",
            hint="Set the retention of its namespace, or leave out --engine.",
        )
    desk.must_exist()


def _age(text: str) -> int:
    """Milliseconds of an age such as `30d`."""
    number, unit = text[:-1], _UNITS.get(text[-1:])
    if unit is None or not number.isascii() or not number.isdigit() or len(number) > _LONGEST_AGE:
        raise Invalid(f"--before {text!r} is no age.", hint="Write a whole number and a unit: 30d, 12h, 45m or 10s.")
    return int(number) * unit


class _Runs(Protocol):
    """Runs to look at: an engine's, or those of a journal on which another process may work."""

    def describe(self, tenant: str, run: str) -> Awaitable[Run]: ...
    def find(self, tenant: str, query: Query, *, limit: int) -> Awaitable[list[Run]]: ...
    def history(self, tenant: str, run: str) -> Awaitable[list[Entry]]: ...


def _look(desk: drive.Desk, work: Callable[[_Runs], Awaitable[_Answer]]) -> _Answer:
    """What `work` finds among the runs, which must be there. Nothing goes on meanwhile, and nobody is disturbed."""
    if not desk.has_journal:
        return _ask(desk, lambda installation: work(installation.engine))
    from perdure import wiring  # heavy: all functions and the engine; not needed by --help

    desk.must_exist()
    modules = getattr(desk.options, "functions", [])
    with wiring.reader(desk.directory, desk.settings, modules=modules) as journal:
        return desk.settle(lambda: work(journal))


def _ask(desk: drive.Desk, work: Callable[["Installation"], Awaitable[_Answer]]) -> _Answer:
    """Open the journal, which must be there, and give what `work` gives. No run goes on by itself meanwhile."""
    desk.must_exist()

    async def whole() -> _Answer:
        async with desk.opened(drive=False) as installation:
            return await work(installation)

    return desk.settle(whole)


def moment(milliseconds: int) -> str:
    """A time in the user's own zone, to the second."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _text(value: Json) -> str:
    return msgspec.json.encode(value).decode()


def _print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


_VERBS: dict[str, Callable[[drive.Desk, argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
    "history": _history,
    "resume": _resume,
    "cancel": _cancel,
    "retry": _retry,
    "skip": _skip,
    "fork": _fork,
    "delete": _delete,
    "prune": _prune,
}
