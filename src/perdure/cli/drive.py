"""Drives runs to their end for the verbs that do (`run`, `resume`, `retry`, `skip`, `fork`) and tells the outcome."""

import argparse
import asyncio
import contextlib
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from perdure.cli import apart, given, progress, tables
from perdure.cli.main import INTERRUPTED
from perdure.errors import NotFound
from perdure.language.values import Json
from perdure.ports.engine import ENDED, Entry, Query, Run, Status

if TYPE_CHECKING:
    from perdure.settings import Settings
    from perdure.wiring import Installation

_Answer = TypeVar("_Answer")
_OPEN: tuple[Status, ...] = ("pending", "running", "waiting", "suspended")
_TOLD = 5


def data_argument(parser: argparse.ArgumentParser) -> None:
    """`--data`, for every verb that looks into a journal."""
    parser.add_argument(
        "--data", metavar="DIR", help="Directory of the journal (default: PERDURE_DATA, else ~/.local/share/perdure)."
    )
    engine_argument(parser)


def engine_argument(parser: argparse.ArgumentParser) -> None:
    """`--engine`, for every verb that has to do with runs."""
    parser.add_argument(
        "--engine", choices=("embedded", "temporal"), help="Where runs go (default: PERDURE_ENGINE, else embedded)."
    )


def functions_argument(parser: argparse.ArgumentParser) -> None:
    """`--functions`, wherever a document is compiled."""
    parser.add_argument(
        "--functions",
        action="append",
        default=[],
        metavar="MODULE",
        help="Python module (name, or path of a .py file) with functions of your own; may be given several times.",
    )


def secrets_argument(parser: argparse.ArgumentParser) -> None:
    """`--secrets`, wherever calls are made."""
    parser.add_argument("--secrets", metavar="FILE", help="File (JSON or YAML) that maps secret names to values.")


def drive_arguments(parser: argparse.ArgumentParser) -> None:
    """What every verb takes that drives a run."""
    data_argument(parser)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--follow", action="store_true", help="Print every entry of the history as a line.")
    shown.add_argument("--quiet", action="store_true", help="Show no progress; only the output or the fault.")
    functions_argument(parser)
    secrets_argument(parser)


class Desk:
    """One command's hold on the installation: its settings, its directory, and the run that is being driven."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.settings: Settings = given.read_settings()
        if getattr(options, "engine", None):
            self.settings = msgspec.structs.replace(self.settings, engine=options.engine)
        self.tenant = self.settings.tenant
        self.directory: Path = given.data_directory(options.data, self.settings)
        self.run: str | None = None
        self.document: Json = None
        """What the run was started with, where this command started it."""
        self._began = time.time_ns() // 1_000_000

    def __repr__(self) -> str:
        return f"Desk({str(self.directory)!r}, run={self.run!r})"

    @property
    def has_journal(self) -> bool:
        """Whether runs are on this machine's disk."""
        return self.settings.engine == "embedded"

    def must_exist(self) -> None:
        """NotFound unless there is a data directory. On a server none is needed."""
        if self.has_journal and not self.directory.is_dir():
            hint = "Name the directory with --data or PERDURE_DATA; `perdure run` makes one."
            raise NotFound(f"There is no data directory {self.directory}.", hint=hint)

    @functools.cached_property
    def installation(self) -> "Installation":
        """The parts, put together and not open yet; nothing is on the disk for it."""
        from perdure import wiring  # heavy: all functions and the engine; not needed by --help

        with apart.functions():
            installation = wiring.installation(
                self.directory,
                self.settings,
                modules=getattr(self.options, "functions", []),
                secrets_file=getattr(self.options, "secrets", None),
                environ=os.environ,
            )
        for line in installation.warnings:
            print(f"perdure: {line}", file=sys.stderr)
        return installation

    @contextlib.asynccontextmanager
    async def opened(self, *, drive: bool = True) -> AsyncIterator["Installation"]:
        """The installation, open. Without `drive` no run goes on by itself, only those that are asked for."""
        async with self.installation.open(drive=drive):
            yield self.installation

    async def to_its_end(self, installation: "Installation", run: str) -> Run:
        """Show the run's progress until it has ended."""
        self.run = run
        engine = installation.engine
        with view(run, everything=self.options.follow, quiet=self.options.quiet) as shown:
            past = [entry for entry in await engine.history(self.tenant, run) if entry.at < self._began]
            if past:
                shown.past(past)
            entries = self._named(engine.watch(self.tenant, run))
            following = asyncio.ensure_future(_follow(entries, shown, len(past)))
            try:
                ended = await engine.wait(self.tenant, run)
                await following
            finally:
                following.cancel()
        return ended

    def tell_of_others(self) -> None:
        """Runs that were started with `await: false` stop with this process: say how they go on."""
        if self.options.quiet or not self.has_journal:
            return
        from perdure import wiring  # loaded already by now

        # Nobody else worked on this journal, so what began meanwhile was started by the run that was driven.
        query = Query(statuses=_OPEN, since=self._began)
        with wiring.reader(self.directory, self.settings) as journal:
            left = [run for run in self.settle(lambda: journal.find(self.tenant, query)) if run.id != self.run]
        for run in left[:_TOLD]:
            say(
                f"It started {run.namespace}/{run.name} {run.version}, which goes on with: {self.resume_command(run.id)}"
            )
        if len(left) > _TOLD:
            say(f"It started more runs that have not ended; all go on with: {self.resume_command('--all')}")

    async def _named(self, entries: AsyncIterator[Entry]) -> AsyncIterator[Entry]:
        async for entry in entries:
            yield progress.naming_workflow(entry, self.document)

    def deliver(self, event: dict[str, Any]) -> None:
        """Hand an event to the engine itself, which is elsewhere."""

        async def whole() -> None:
            async with self.opened() as installation:
                await installation.engine.deliver(self.tenant, event)

        self.settle(whole)

    def settle(self, work: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Run the coroutine; Ctrl-C and SIGTERM end it in good order, so that the run can be resumed.

        Raises Interrupted then.
        """
        runner = asyncio.Runner()
        try:
            with apart.functions():
                answer = runner.run(_with_sigterm(work))
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise Interrupted from None
        finally:
            # Closing it would wait for functions in threads, whose answers nobody waits for any more (`main.py`).
            if threading.active_count() == 1:
                runner.close()
        return answer

    def interrupted(self) -> int:
        """Tell how to go on after Ctrl-C."""
        if self.run is None:
            print("perdure: Interrupted; nothing was started.", file=sys.stderr)
        else:
            print(
                f"perdure: Interrupted. The run is kept; go on with:\n  {self.resume_command(self.run)}",
                file=sys.stderr,
            )
        return INTERRUPTED

    def resume_command(self, run: str) -> str:
        """The command line that goes on with a run, with the options that it needs again."""
        import shlex  # only where a command is shown

        words = ["perdure", "runs", "resume", run]
        for option in ("data", "engine", "functions", "secrets"):
            chosen = getattr(self.options, option, None) or []
            for value in [chosen] if isinstance(chosen, str) else chosen:
                words += [f"--{option}", value]
        return shlex.join(words)


class Interrupted(Exception):
    """The user ended the command before the run had ended."""


def drive(desk: Desk, work: Callable[["Installation"], Awaitable[str]]) -> int:
    """Open the installation, let `work` name a run, drive it to its end and tell the outcome.

    Only that run goes on, with its children; other interrupted runs of the directory stay as they are.
    """

    async def whole() -> Run:
        async with desk.opened(drive=False) as installation:
            return await desk.to_its_end(installation, await work(installation))

    try:
        ended = desk.settle(whole)
        desk.tell_of_others()
    except Interrupted:
        return desk.interrupted()
    return tell(ended)


def tell(run: Run) -> int:
    """Output on standard output, or the fault on standard error; the exit code."""
    assert run.status in ENDED, run.status
    if run.status == "completed":
        write(run.output)
        return 0
    if run.status == "faulted":
        print(tables.text_of(run.error), file=sys.stderr)
    else:
        print(f"perdure: The run {run.id} was cancelled.", file=sys.stderr)
    return 1


def say(sentence: str) -> None:
    """Something for the person at the terminal, at once."""
    print(f"perdure: {sentence}", file=sys.stderr, flush=True)


def write(value: Json) -> None:
    """A JSON value on standard output: indented for people, one line for programs."""
    if sys.stdout.isatty():
        tables.print_json(value)
    else:
        sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def view(run: str, *, everything: bool, quiet: bool) -> Iterator[progress.View]:
    """The view that the options and the terminal ask for."""
    if quiet:
        yield progress.Nothing()
    elif everything or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield progress.Lines(run, everything=everything)
    else:
        from perdure.cli.live import Live  # rich: only on a terminal

        with Live(run) as live:
            yield live


async def _follow(entries: AsyncIterator[Entry], shown: progress.View, past: int) -> None:
    async for entry in entries:
        if entry.number == 0 or entry.number > past:
            shown.entry(entry)


async def _with_sigterm(work: Callable[[], Awaitable[_Answer]]) -> _Answer:
    task = asyncio.current_task()
    assert task is not None
    if os.name == "posix":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work()
