"""One verb for many runs of a server: a job there, which goes on however its asking ends."""

import argparse
import sys
import time
from typing import Any

from perdure.cli import given, server, tables
from perdure.client import Client, runs
from perdure.errors import Invalid

_PAUSE = 0.5
_COUNTED = 2_000
"""Runs that are counted one by one before somebody is asked; beyond, they are many."""


def execute(options: argparse.Namespace) -> int:
    """`perdure runs bulk VERB`: ids, or what describes the runs."""
    how: dict[str, Any] = {}
    if options.compensate:
        how["compensate"] = True
    if options.path is not None:
        how["path"] = options.path
    if options.output is not None:
        how["output"] = given.json_argument(options.output, "--output")
    select = _selected(options)
    if bool(options.runs) == bool(select):
        raise Invalid(
            "Say which runs: either their ids, or what they have in common.",
            hint="For example --status faulted --workflow shop.orders.",
        )
    if select and not options.yes:
        count = _count(options, select)
        if not count:
            print("perdure: There are no such runs.", file=sys.stderr)
            return 0
        if not _is_meant(options.do, count):
            print("perdure: Nothing was done.", file=sys.stderr)
            return 1
    return steer(options, options.runs, how, verb=options.do, select=select or None)


def _count(options: argparse.Namespace, select: dict[str, Any]) -> str:
    """How many runs are meant now, in words; empty for none."""
    found = 0
    cursor: str | None = ""
    wish = {"status" if name == "statuses" else name: value for name, value in select.items()}
    with server.opened(options) as client:
        while cursor is not None and found <= _COUNTED:
            page = client.do(runs.find(**wish, limit=200, cursor=cursor))
            found, cursor = found + len(page.items), page.next
    if found > _COUNTED:
        return f"more than {_COUNTED:,} runs"
    return f"{found:,} {'run' if found == 1 else 'runs'}" if found else ""


def _is_meant(verb: str, count: str) -> bool:
    """Ask whoever sits there. Invalid where nobody does: what cannot be asked must be said."""
    if not sys.stdin.isatty():
        raise Invalid(f"This would {verb} {count}.", hint="Add --yes if that is meant.")
    print(f"{verb.capitalize()} {count}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def steer(
    options: argparse.Namespace,
    ids: list[str],
    how: dict[str, Any],
    *,
    verb: str = "",
    select: dict[str, Any] | None = None,
) -> int:
    """Begin the job, tell how far it comes until it is done, and what was refused; 1 when something was."""
    wish = runs.steer(verb or options.verb, ids or None, select=select, **how)
    with server.opened(options) as client:
        job = client.do(wish)
        try:
            job = _finished(client, job)
        except KeyboardInterrupt:
            print(f"perdure: The job {job.id} goes on at the server.", file=sys.stderr)
            raise
    if options.json:
        tables.print_json(job)
    else:
        _tell(job)
    return 1 if job.failed else 0


def _finished(client: Client, job: runs.Job) -> runs.Job:
    is_shown = not job.is_done and sys.stderr.isatty()
    while not job.is_done:
        if is_shown:
            print(f"\r{job.done:,} done, {job.failed:,} refused", end="", file=sys.stderr, flush=True)
        time.sleep(_PAUSE)
        job = client.do(runs.job(job.id))
    if is_shown:
        print(file=sys.stderr)
    return job


def _tell(job: runs.Job) -> None:
    refused = [answer for answer in job.answers if not answer.ok]
    for answer in refused:
        print(f"{answer.run}: {tables.printable(answer.detail)}", file=sys.stderr)
    if job.failed > len(refused):
        print(f"and {job.failed - len(refused):,} more", file=sys.stderr)
    done = job.done - job.failed
    print(f"{job.verb}: {done:,} {'run' if done == 1 else 'runs'} done, {job.failed:,} refused.")


def _selected(options: argparse.Namespace) -> dict[str, Any]:
    found = {
        "statuses": options.status, "workflow": options.workflow, "version": options.version,
        "since": given.instant(options.since, "--since"), "until": given.instant(options.until, "--until"),
    }  # fmt: skip
    return {name: value for name, value in found.items() if value}
