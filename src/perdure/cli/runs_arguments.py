"""The words of `perdure runs`: its verbs and their options, for a journal and for a server."""

import argparse
from typing import get_args

from perdure.cli import drive
from perdure.ports.engine import Status

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

examples on a server:
  perdure runs start shop.orders --input '{"order": 17}' --follow
  perdure runs list --workflow shop.orders --input order=17 --since 2h
  perdure runs cancel order-17 order-18
  perdure runs bulk retry --status faulted --since 2h      # says how many, and asks
"""

_BULK_VERBS = ("cancel", "suspend", "resume", "retry", "skip")
_BULK_EPILOG = """\
examples:
  perdure runs bulk cancel order-17 order-18 order-19
  perdure runs bulk retry --status faulted --workflow shop.orders --since 2h
  perdure runs bulk resume --status suspended
"""
_RUN_HELP = "The run's id, as `perdure run` and `perdure runs list` show it."
_PATH_HELP = "Position of the task, as `perdure runs history` shows it"


def arguments(parser: argparse.ArgumentParser) -> None:
    """One verb each, with its options."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = _verb(verbs, "list", "List runs, the newest first.", run=False)
    listing.add_argument("--status", choices=get_args(Status), help="Only runs of this status.")
    listing.add_argument("--workflow", metavar="NAME", help="Only runs of this workflow.")
    listing.add_argument("--version", metavar="VERSION", help="Only runs of this version.")
    listing.add_argument("--since", metavar="WHEN", help="Started since then: a date, a moment, or an age such as 2h.")
    listing.add_argument("--until", metavar="WHEN", help="Started before then.")
    for what in ("input", "output"):
        listing.add_argument(
            f"--{what}", action="append", default=[], dest=f"where_{what}", metavar="PATH=VALUE",
            help=f"On a server: only runs with this value in their {what}, such as order.id=17.",
        )  # fmt: skip
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
    for steered in (resume, cancel, retry, skip):
        _more(steered)
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
    for verb in (resume, cancel, retry, skip, fork):
        verb.add_argument("--json", action="store_true", help="On a server: print JSON.")
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
    follow = _verb(verbs, "follow", "On a server: follow a run to its end, and print its output.")
    for verb in (start, follow):
        shown = verb.add_mutually_exclusive_group()
        shown.add_argument("--lines", action="store_true", help="Print every entry of the history as a line.")
        shown.add_argument("--quiet", action="store_true", help="Show no progress; only the output or the fault.")
    suspend = _verb(verbs, "suspend", "On a server: hold a run; what is under way ends, nothing new begins.")
    tasks = _verb(verbs, "tasks", "On a server: list the tasks of a run that are under way, and what they wait for.")
    _more(suspend)
    for verb in (start, follow, suspend, tasks):
        verb.add_argument("--json", action="store_true", help="Print JSON.")
    _bulk(
        _verb(
            verbs,
            "bulk",
            "On a server: one verb for many runs, by their ids or by what they have in common.",
            run=False,
        )
    )


def _bulk(bulk: argparse.ArgumentParser) -> None:
    bulk.formatter_class = argparse.RawDescriptionHelpFormatter
    bulk.epilog = _BULK_EPILOG
    bulk.add_argument("do", metavar="VERB", choices=_BULK_VERBS, help=", ".join(_BULK_VERBS) + ".")
    bulk.add_argument("runs", nargs="*", metavar="ID", help=_RUN_HELP)
    bulk.add_argument(
        "--status",
        action="append",
        default=[],
        choices=get_args(Status),
        help="Runs of this status; several may be given.",
    )
    bulk.add_argument("--workflow", metavar="NAME", help="Runs of this workflow.")
    bulk.add_argument("--version", metavar="VERSION", help="Runs of this version.")
    bulk.add_argument(
        "--since", metavar="WHEN", help="Runs started since then: a date, a moment, or an age such as 2h."
    )
    bulk.add_argument("--until", metavar="WHEN", help="Runs started before then.")
    bulk.add_argument("--compensate", action="store_true", help="For cancel: run the compensations first.")
    bulk.add_argument("--path", help=f"For retry and skip: {_PATH_HELP}.")
    bulk.add_argument("--output", metavar="JSON|@FILE", help="For skip: the task's output (default: its input).")
    bulk.add_argument("--yes", action="store_true", help="Do not ask before it is done to all that are described.")
    bulk.add_argument("--json", action="store_true", help="Print JSON.")


def _more(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("more", nargs="*", metavar="ID", help="On a server: the same for these.")


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
