"""`perdure runs …` on a server: the same verbs as on a journal, and those that only a server has."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.cli import drive, given, progress, server, server_bulk, tables
from perdure.client import Call, runs
from perdure.errors import Invalid
from perdure.ports.engine import Entry

if TYPE_CHECKING:
    from perdure.client import Client

_COLUMNS = ("id", "status", "started", "ended", "workflow", "version")
_NONE = "No runs on this server."


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
            page = client.do(_wish(options, min(200, options.limit - len(found)), cursor))
            found += page.items
            cursor = page.next
    if options.json:
        tables.print_runs(found)
        return 0
    tables.print_rows(found, _COLUMNS, _NONE)
    if cursor is not None:
        print(f"perdure: There are more; --limit shows more than {options.limit}.", file=sys.stderr)
    return 0


def _wish(options: argparse.Namespace, limit: int, cursor: str) -> "Call[Any]":
    return runs.find(
        status=[options.status] if options.status else None, workflow=options.workflow or "",
        version=options.version or "", since=given.instant(options.since, "--since"),
        until=given.instant(options.until, "--until"), input=options.where_input, output=options.where_output,
        limit=limit, cursor=cursor,
    )  # fmt: skip


def _start(options: argparse.Namespace) -> int:
    input = given.json_argument(options.input, "--input", {})
    wish = runs.start(options.workflow, input, version=options.version, id=options.run or "")
    with server.opened(options) as client:
        started = client.do(wish)
        if not options.follow:
            tables.print_json(started) if options.json else print(started.id)
            return 0
        return _followed(client, started.id, options)


def _follow(options: argparse.Namespace) -> int:
    with server.opened(options) as client:
        return _followed(client, options.run, options)


def _followed(client: "Client", run: str, options: argparse.Namespace) -> int:
    """Live on a terminal, else each entry as a line on standard error, as `perdure run` has it; at the end the output, or
    the fault. Ctrl-C ends the looking, not the run."""
    try:
        client.do(runs.get(run))
        with drive.view(run, everything=getattr(options, "lines", True), quiet=options.quiet) as view:
            for event in client.stream(runs.follow(run)):
                if event.type != "end":
                    view.entry(entry(msgspec.json.decode(event.data, type=runs.Entry)))
        return _told(client.do(runs.get(run)), options)
    except KeyboardInterrupt:
        print(f"perdure: The run goes on at the server; look again with:\n  perdure runs follow {run}", file=sys.stderr)
        raise


def _told(ended: runs.Run, options: argparse.Namespace) -> int:
    if options.json:
        tables.print_json(ended)
    elif ended.status == "completed":
        drive.write(ended.output)
    elif ended.status == "faulted":
        print(tables.text_of(ended.error), file=sys.stderr)
    else:
        print(f"perdure: The run {ended.id} is {ended.status}.", file=sys.stderr)
    return 0 if ended.status == "completed" else 1


def _show(options: argparse.Namespace) -> int:
    run = server.ask(options, runs.get(options.run))
    if options.json:
        tables.print_json(run)
        return 0
    known = server.ask(options, runs.tasks(options.run)).items if run.status == "waiting" else []
    tables.print_facts(
        {
            "run": run.id,
            "workflow": f"{run.workflow} {run.version}",
            "status": run.status,
            "waits": progress.waits((task.path, task.wait) for task in known),
            "started": tables.moment(run.started),
            "updated": tables.moment(run.updated),
            "ended": tables.moment(run.ended),
            "forked from": run.origin,
            "input": tables.text_of(run.input),
            "output": tables.text_of(run.output) if run.status == "completed" else None,
            "fault": tables.text_of(run.error) if run.error is not None else None,
        }
    )
    return 0


def _history(options: argparse.Namespace) -> int:
    found = server.pages(options, lambda cursor: runs.history(options.run, cursor=cursor))
    if options.json:
        tables.print_json(found)
        return 0
    for one in map(entry, found):
        print(f"{one.number:5}  {tables.moment(one.at)}  {tables.printable(progress.sentence(one))}")
    return 0


def _tasks(options: argparse.Namespace) -> int:
    found = server.ask(options, runs.tasks(options.run)).items
    if options.json:
        tables.print_json(found)
        return 0
    rows = [_Open(one.path, one.status, one.since, progress.waiting(one.wait) if one.wait else "") for one in found]
    tables.print_rows(rows, ("path", "status", "since", "waits"), "Nothing is under way.")
    return 0


class _Open(msgspec.Struct):
    """A task as a row says it."""

    path: str
    status: str
    since: str
    waits: str


def _steer(options: argparse.Namespace) -> int:
    if options.run is None:
        raise Invalid("Say which run.", hint="On a server runs go on by themselves; `resume` is for suspended ones.")
    if options.more:
        how = {"compensate": options.compensate} if options.verb == "cancel" else {}
        if getattr(options, "path", None) is not None:
            how["path"] = options.path
        return server_bulk.steer(options, [options.run, *options.more], how | _output(options))
    with server.opened(options) as client:
        run = client.do(_steering(options))
        if getattr(options, "follow", False):
            return _followed(client, run.id, options)
    tables.print_json(run) if options.json else print(f"{run.id} is {run.status}.")
    return 0


def _steering(options: argparse.Namespace) -> Call[runs.Run]:
    if options.verb == "cancel":
        return runs.cancel(options.run, compensate=options.compensate)
    if options.verb == "retry":
        return runs.retry(options.run, path=options.path)
    if options.verb == "skip":
        return runs.skip(options.run, path=options.path, **_output(options))
    return runs.suspend(options.run) if options.verb == "suspend" else runs.resume(options.run)


def _output(options: argparse.Namespace) -> dict[str, Any]:
    is_given = getattr(options, "output", None) is not None
    return {"output": given.json_argument(options.output, "--output")} if is_given else {}


def _fork(options: argparse.Namespace) -> int:
    if options.document:
        raise Invalid("On a server a fork takes a published version.", hint="Publish the document, then use --version.")
    if options.path and options.input:
        raise Invalid("--input replaces the run's input, so it does not go with --path.")
    input = {} if options.input is None else {"input": given.json_argument(options.input, "--input")}
    with server.opened(options) as client:
        made = client.do(runs.fork(options.run, path=options.path, version=options.version, **input))
        if options.follow:
            return _followed(client, made.id, options)
    tables.print_json(made) if options.json else print(made.id)
    return 0


def entry(one: runs.Entry) -> Entry:
    """An entry as the views of `perdure run` take it."""
    return Entry(
        number=one.number, at=tables.milliseconds(one.at), type=one.type, path=one.path, ref=one.ref, data=one.data
    )


_VERBS = {
    "list": _list, "start": _start, "follow": _follow, "show": _show, "history": _history, "tasks": _tasks,
    "cancel": _steer, "suspend": _steer, "resume": _steer, "retry": _steer, "skip": _steer, "fork": _fork,
    "bulk": server_bulk.execute,
}  # fmt: skip
