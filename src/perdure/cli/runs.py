"""`perdure runs …`: list, show and mend runs, of a data directory or of a server (`server_runs.py`)."""

import argparse
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from perdure.cli import drive, given, progress, tables, validate
from perdure.cli.runs_arguments import arguments
from perdure.errors import MEANINGS, Invalid, NotFound
from perdure.ports.engine import Entry, Query, Run

if TYPE_CHECKING:
    from perdure.wiring import Installation

__all__ = ["arguments", "execute"]

_Answer = TypeVar("_Answer")

_SERVER_ONLY = ("start", "follow", "suspend", "tasks", "bulk")


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    from perdure.cli import server  # light, and so is asking; the client is loaded for a server only

    if server.is_meant(options) or options.verb in _SERVER_ONLY:
        from perdure.cli import server_runs

        return server_runs.execute(options)
    if getattr(options, "more", []):
        raise Invalid("Several runs at once are for a server; a journal's are driven one by one.")
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


def _list(desk: drive.Desk, options: argparse.Namespace) -> int:
    if options.limit < 1:
        raise Invalid("--limit must be 1 or more.")

    try:
        runs = _look(desk, lambda runs: runs.find(desk.tenant, _query(options), limit=options.limit))
    except NotFound:
        runs = []
    if options.json:
        tables.print_runs(runs)
        return 0
    for run in runs:
        print(f"{run.id}  {run.status:9}  {tables.moment(run.started)}  {run.namespace}/{run.name} {run.version}")
    if not runs:
        where = desk.directory if desk.has_journal else desk.settings.temporal_address
        print(f"perdure: No runs in {where}.", file=sys.stderr)
    return 0


def _query(options: argparse.Namespace) -> Query:
    if options.where_input or options.where_output:
        raise Invalid("Runs are found by --input and --output on a server only.", hint="Name it with --server.")
    since, until = (
        given.instant(text, option) for text, option in ((options.since, "--since"), (options.until, "--until"))
    )
    return Query(
        statuses=(options.status,) if options.status else (),
        workflow=options.workflow,
        version=options.version,
        since=tables.milliseconds(since) if since else None,
        until=tables.milliseconds(until) if until else None,
    )


def _show(desk: drive.Desk, options: argparse.Namespace) -> int:
    run = _look(desk, lambda runs: runs.describe(desk.tenant, options.run))
    if options.json:
        tables.print_json(run)
        return 0
    known = _look(desk, lambda runs: runs.history(desk.tenant, options.run)) if run.status == "waiting" else []
    rows = {
        "run": run.id,
        "workflow": f"{run.namespace}/{run.name} {run.version}",
        "status": run.status,
        "waits": progress.waits((entry.path, entry.data.get("wait")) for entry in progress.pending(known)),
        "started": tables.moment(run.started),
        "updated": tables.moment(run.updated),
        "ended": tables.moment(run.ended),
        "forked from": run.origin,
        "input": tables.text_of(run.input),
        "output": tables.text_of(run.output) if run.status == "completed" else None,
        "fault": tables.text_of(run.error) if run.error is not None else None,
    }
    tables.print_facts(rows)
    return 0


def _history(desk: drive.Desk, options: argparse.Namespace) -> int:
    entries = _look(desk, lambda runs: runs.history(desk.tenant, options.run))
    if options.json:
        tables.print_json(entries)
        return 0
    for entry in entries:
        print(f"{entry.number:5}  {tables.moment(entry.at)}  {progress.sentence(entry)}")
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

    return _go_on(desk, resume)


def _go_on(desk: drive.Desk, work: Callable[["Installation"], Awaitable[str]]) -> int:
    desk.must_exist()
    _check_calls(desk)
    return drive.drive(desk, work)


def _check_calls(desk: drive.Desk) -> None:
    """A run that exists may call anything: what is wrong with what can be called is told before the run is touched."""
    desk.installation.table.names()


def _resume_all(desk: drive.Desk) -> int:
    desk.must_exist()
    _check_calls(desk)

    async def whole() -> list[Run]:
        async with desk.opened(drive=False) as installation:
            runs = await _not_ended(desk, installation)
            for run in runs:
                await installation.engine.resume(desk.tenant, run.id)
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

    _check_calls(desk)
    run = _ask(desk, cancel)
    print(f"perdure: The run {run.id} is {run.status}.", file=sys.stderr)
    return 0 if run.status == "cancelled" else 1


def _retry(desk: drive.Desk, options: argparse.Namespace) -> int:
    async def retry(installation: "Installation") -> str:
        await installation.engine.retry(desk.tenant, options.run, options.path)
        return str(options.run)

    return _go_on(desk, retry)


def _skip(desk: drive.Desk, options: argparse.Namespace) -> int:
    output = given.json_argument(options.output, "--output")

    async def skip(installation: "Installation") -> str:
        await installation.engine.skip(
            desk.tenant, options.run, options.path, output=output, has_output=options.output is not None
        )
        return str(options.run)

    return _go_on(desk, skip)


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

    return _go_on(desk, fork)


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

    before = time.time_ns() // 1_000_000 - given.age(options.before, "--before")
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
