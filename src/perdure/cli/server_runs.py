"""`perdure runs …` on a server: the same verbs as on a journal, and those that only a server has."""

import argparse
import sys
from typing import Any

import msgspec

from perdure.cli import given, server
from perdure.client import Call, runs
from perdure.errors import Invalid

_COLUMNS = ("id", "status", "workflow", "version", "started", "ended")


def execute(options: argparse.Namespace) -> int:
    """Do the verb."""
    verb = _VERBS.get(options.verb)
    if verb is None:
        raise Invalid(f"`perdure runs {options.verb}` is for a journal.", hint="Name its directory with --data.")
    return verb(options)


def _list(options: argparse.Namespace) -> int:
    if options.limit < 1:
        raise Invalid("--limit must be 1 or more.")
    found: list[runs.Run] = []
    cursor: str | None = ""
    with server.opened(options) as client:
        while cursor is not None and len(found) < options.limit:
            left = min(200, options.limit - len(found))
            status = [options.status] if options.status else None
            page = client.do(runs.find(status=status, workflow=options.workflow or "", limit=left, cursor=cursor))
            found += page.items
            cursor = page.next
    server.print_json(found) if options.json else server.print_rows(found, _COLUMNS)
    return 0


def _start(options: argparse.Namespace) -> int:
    input = given.json_argument(options.input, "--input", {})
    wish = runs.start(options.workflow, input, version=options.version, id=options.run or "")
    with server.opened(options) as client:
        started = client.do(wish)
        if not options.follow:
            print(started.id)
            return 0
        return _followed(client, started.id)


def _follow(options: argparse.Namespace) -> int:
    with server.opened(options) as client:
        return _followed(client, options.run)


def _followed(client: Any, run: str) -> int:
    """Each entry as a line on standard error; at the end the output, or the fault, as `perdure run` has it."""
    for event in client.stream(runs.follow(run)):
        if event.type == "end":
            break
        entry = msgspec.json.decode(event.data, type=runs.Entry)
        print(_line(entry), file=sys.stderr, flush=True)
    ended = client.do(runs.get(run))
    if ended.status == "completed":
        server.print_json(ended.output)
        return 0
    print(msgspec.json.encode(ended.error or {"status": ended.status}).decode(), file=sys.stderr)
    return 1


def _show(options: argparse.Namespace) -> int:
    server.print_json(server.ask(options, runs.get(options.run)))
    return 0


def _history(options: argparse.Namespace) -> int:
    found = server.pages(options, lambda cursor: runs.history(options.run, cursor=cursor))
    if options.json:
        server.print_json(found)
    else:
        print("\n".join(map(_line, found)))
    return 0


def _tasks(options: argparse.Namespace) -> int:
    found = server.ask(options, runs.tasks(options.run)).items
    server.print_rows(found, ("path", "status", "since", "wait"))
    return 0


def _steer(options: argparse.Namespace) -> int:
    if options.run is None:
        raise Invalid("Say which run.", hint="On a server runs go on by themselves; `resume` is for suspended ones.")
    run = server.ask(options, _steering(options))
    print(f"{run.id} is {run.status}.")
    return 0


def _steering(options: argparse.Namespace) -> Call[runs.Run]:
    if options.verb == "cancel":
        return runs.cancel(options.run, compensate=options.compensate)
    if options.verb == "retry":
        return runs.retry(options.run, path=options.path)
    if options.verb == "skip":
        output = {} if options.output is None else {"output": given.json_argument(options.output, "--output")}
        return runs.skip(options.run, path=options.path, **output)
    return runs.suspend(options.run) if options.verb == "suspend" else runs.resume(options.run)


def _fork(options: argparse.Namespace) -> int:
    if options.document:
        raise Invalid("On a server a fork takes a published version.", hint="Publish the document, then use --version.")
    input = {} if options.input is None else {"input": given.json_argument(options.input, "--input")}
    print(server.ask(options, runs.fork(options.run, path=options.path, version=options.version, **input)).id)
    return 0


def _line(entry: runs.Entry) -> str:
    data = msgspec.json.encode(entry.data).decode() if entry.data else ""
    return f"{entry.at}  {entry.type:24}  {entry.path}  {data[:200]}".rstrip()


_VERBS = {
    "list": _list, "start": _start, "follow": _follow, "show": _show, "history": _history, "tasks": _tasks,
    "cancel": _steer, "suspend": _steer, "resume": _steer, "retry": _steer, "skip": _steer, "fork": _fork,
}  # fmt: skip
