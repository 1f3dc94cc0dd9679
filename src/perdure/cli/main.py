"""The front door: the table of commands, and the border where every error becomes one sentence and an exit code.

Only the module of the command that was asked for is imported, so `perdure --help` imports argparse and nothing else.
"""

import argparse
import errno
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from perdure import __version__
from perdure.errors import MEANINGS, Bug, Invalid, PerdureError

INTERRUPTED = 130
_REMEDIES = {
    errno.ENOSPC: "Make room on the disk, or choose another folder with --data.",
    errno.EDQUOT: "Make room in your quota, or choose another folder with --data.",
    errno.EMFILE: "Let a process open more files (ulimit -n).",
}
"""What to do about what the system refuses, where that is known."""
_GARBAGE = 20_000
"""New objects between two looks for garbage: a command loads much and throws little away."""


class Command(NamedTuple):
    """One row of the command table. The module offers `arguments(parser)` and `execute(options) -> exit code`."""

    name: str
    module: str
    summary: str


COMMANDS = (
    Command("run", "perdure.cli.run", "Run a document to its end and print its output."),
    Command("validate", "perdure.cli.validate", "Check documents and print every finding with its place."),
    Command("runs", "perdure.cli.runs", "List, show and mend runs: resume, cancel, retry, skip, fork, delete."),
    Command("events", "perdure.cli.events", "Send an event to the runs that wait for it."),
    Command("up", "perdure.cli.up", "Serve the whole platform from this process."),
    Command("serve", "perdure.cli.serve", "Serve the platform beside others, on servers that all of them share."),
    Command("worker", "perdure.cli.worker", "Work on the queues of a Temporal server until told to stop."),
    Command("doctor", "perdure.cli.doctor", "Look at every configured part, and say what is wrong with it."),
    Command("workflows", "perdure.cli.workflows", "Publish documents on a server, and see to what is published."),
    Command("schedules", "perdure.cli.schedules", "Let runs start by themselves on a server."),
    Command("agents", "perdure.cli.agents", "Make agents on a server, and talk to them."),
    Command("contexts", "perdure.cli.contexts", "Read, branch and delete conversations with agents on a server."),
    Command("prompts", "perdure.cli.prompts", "Write and read the prompts that agents are made of on a server."),
    Command("usage", "perdure.cli.usage", "Show what requests to models took and cost on a server."),
    Command("budgets", "perdure.cli.budgets", "Say how much may be spent on models on a server."),
    Command("inbox", "perdure.cli.inbox", "Answer questions of runs to people on a server."),
    Command("webhooks", "perdure.cli.webhooks", "Let others call a server, signed."),
    Command("login", "perdure.cli.login", "Remember a server, and the key that signs in there."),
    Command("keys", "perdure.cli.keys", "Make, list and revoke API keys on a server."),
    Command("users", "perdure.cli.users", "Make, list and change the users of your tenant on a server."),
    Command("tenants", "perdure.cli.tenants", "Make and list the tenants and projects of a server."),
    Command("functions", "perdure.cli.functions", "List and show the functions that a document can call."),
    Command("migrate", "perdure.cli.migrate", "Bring the databases of the services up to date."),
    Command("backup", "perdure.cli.backup", "Copy everything an installation keeps, while it works."),
    Command("restore", "perdure.cli.restore", "Put a backup where nothing is."),
    Command("schema", "perdure.cli.schema", "Print the JSON Schema of documents, for editors."),
    Command("completion", "perdure.cli.completion", "Print the completion script of a shell."),
)

_DESCRIPTION = """\
Perdure runs workflows written as documents of the Open Workflow Specification. Every step is journaled before the
next one begins: kill the process anywhere, and the run goes on where it was.
"""

_EXAMPLES = """\
examples:
  perdure run hello.yaml --input '{"name": "Ada"}'
  perdure validate *.yaml
  perdure runs list
  perdure runs resume 0192f1a4-…

exit codes:
  0    done; for `run` and `resume`: the run completed
  1    the run faulted or was cancelled, or something is out of reach for now
  2    the command, the document or the input does not fit
  130  interrupted; the run is kept and can be resumed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Nothing but SystemExit from argparse passes this border.

    Without arguments it is the process's own command line, and the process ends with it.
    """
    if arguments is not None:
        return _answer(list(arguments))
    gc.set_threshold(_GARBAGE)
    _open_streams()
    code = _answer(sys.argv[1:])
    _leave(code)
    return code


def _open_streams() -> None:
    """A stream that the caller closed leads nowhere; a file of ours that got its number would be written to."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - open for good, before pathlib is imported


def _leave(code: int) -> None:
    """A function of the user that runs in a thread cannot be stopped; do not wait for it. The journal is closed. And the
    threads of Temporal's library bring a Python down that ends while they are at something."""
    threading = sys.modules.get("threading")
    if "temporalio.bridge.runtime" in sys.modules or (threading is not None and threading.active_count() > 1):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    gc.freeze()  # at its end Python looks through everything for garbage: a sixth of what a short command takes


def _answer(given: list[str]) -> int:
    try:
        code = _dispatch(given)
        sys.stdout.flush()
        return code
    except PerdureError as error:
        return _tell(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`perdure runs list | head`): nothing is wrong, and nothing can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(f"perdure: The system refused: {error.strerror or error}{where}.", file=sys.stderr)
        if error.errno in _REMEDIES:
            print(f"  {_REMEDIES[error.errno]}", file=sys.stderr)
        return 1
    except UnicodeEncodeError as error:
        if not any(0xDC80 <= ord(letter) <= 0xDCFF for letter in error.object):
            return _tell_of_bug(error)
        # What the shell handed in were bytes, not text; Python carries them as lone surrogates.
        return _tell(Invalid(f"{error.object[:80]!r} is not UTF-8 text.", hint="Check the arguments and the settings."))
    except Exception as error:  # noqa: BLE001 - the outermost border: a traceback is kept, not thrown at the user
        return _tell_of_bug(error)


def _dispatch(given: list[str]) -> int:
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    parser = build(chosen=given[0] if given else None)
    options = parser.parse_args(given)
    if options.command is None:
        parser.print_help()
        return 0
    module = next(row.module for row in COMMANDS if row.name == options.command)
    code: int = importlib.import_module(module).execute(options)
    return code


def build(chosen: str | None = None, *, whole: bool = False) -> argparse.ArgumentParser:
    """The parser: of the chosen command alone, of all commands by name, or of all with their arguments (`whole`)."""
    parser = argparse.ArgumentParser(
        prog="perdure", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"perdure {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for row in [row for row in COMMANDS if row.name == chosen] or COMMANDS:
        part = commands.add_parser(
            row.name, help=row.summary, description=row.summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if whole or row.name == chosen:
            importlib.import_module(row.module).arguments(part)
    return parser


def _complete() -> None:
    import argcomplete  # heavy, and needed only while a shell asks for completions

    argcomplete.autocomplete(build(whole=True))


def _tell(error: PerdureError) -> int:
    print(f"perdure: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)
    if isinstance(error, Bug):
        return _tell_of_bug(error)
    return next(meaning.exit_code for kind, meaning in MEANINGS.items() if isinstance(error, kind))


def _tell_of_bug(error: BaseException) -> int:
    import tempfile  # only on this path
    import traceback

    text = "".join(traceback.format_exception(error))
    if os.environ.get("PERDURE_DEBUG", "0").lower() in {"1", "true"}:
        print(text, file=sys.stderr)
        return MEANINGS[Bug].exit_code
    reason = str(error).strip().splitlines()
    sentence = f"{type(error).__name__}: {reason[0]}" if reason else type(error).__name__
    try:
        with tempfile.NamedTemporaryFile("w", prefix="perdure-bug-", suffix=".txt", delete=False) as file:
            file.write(text)
            details = f"The details are in {file.name}"
    except OSError:
        details = "Set PERDURE_DEBUG=1 to see the details"
    print(f"perdure: This is a bug in Perdure, please report it ({sentence}). {details}.", file=sys.stderr)
    return MEANINGS[Bug].exit_code
