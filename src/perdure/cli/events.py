"""`perdure events`: hand a CloudEvent to the runs of a data directory or a server; give dead letters back to their listener."""

import argparse
import asyncio
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

from perdure.cli import drive, given, server
from perdure.errors import Invalid, NotFound
from perdure.language.values import Json

if TYPE_CHECKING:
    from perdure.settings import Settings

_EPILOG = """\
A `listen` waits for a CloudEvent; this sends one from the shell. The event is kept in the data directory, safe from
crashes and power cuts: a process that works there takes it within a second, else the next one does. The same event
(by source and id) sent twice counts once. Its id is printed on standard output.

After `perdure login`, or with --server, it goes to the runs and schedules of a server; --data names a directory again.

examples:
  perdure events send --type com.example.approval.decided.v1 --subject req-7 --payload '{"approved": true}'
  perdure events send @event.json
  curl -s https://example.com/event | perdure events send -
"""
_ATTRIBUTES = ("type", "source", "subject", "id")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Two verbs."""
    parser.epilog = _EPILOG
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    send = verbs.add_parser(
        "send",
        help="Send a CloudEvent to the runs that wait for it.",
        description="Send a CloudEvent to the runs that wait for it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    send.add_argument(
        "event", nargs="?", metavar="JSON|@FILE", help="The whole event as structured JSON, or - for standard input."
    )
    send.add_argument("--type", help="The event's type; needed when no whole event is given.")
    send.add_argument("--source", help="Where it comes from (default: perdure).")
    send.add_argument("--subject", help="What it is about.")
    send.add_argument("--payload", metavar="JSON|@FILE", help="What it says: the `data` of the event.")
    send.add_argument("--id", help="Its id; the same source and id count once (default: a new one).")
    drive.data_argument(send)
    server.arguments(send)
    redrive = verbs.add_parser(
        "redrive",
        help="Give the dead letters of a subscription back to its listener.",
        description="Give the dead letters of a subscription back to its listener, once it is mended: those of the broker"
        " of PERDURE_BUS_URL, else those of the process that works in the data directory, which takes them at once.",
    )
    redrive.add_argument("name", help="The name of the subscription, such as workflows.")
    redrive.add_argument("--limit", type=int, default=1000, metavar="N", help="At most so many (default: 1000).")
    drive.data_argument(redrive)


def execute(options: argparse.Namespace) -> int:
    """Send or give back."""
    return _redrive(options) if options.verb == "redrive" else _send(options)


def _redrive(options: argparse.Namespace) -> int:
    settings = given.read_settings()
    if options.limit < 1:
        raise Invalid("--limit must be 1 or more.")
    if settings.bus_url:
        count = asyncio.run(_of_broker(settings.bus_url, options.name, options.limit))
    else:
        count = _of_database(options, settings)
    print(f"{count} {'event' if count == 1 else 'events'} of {options.name} will be delivered again")
    return 0


async def _of_broker(url: str, name: str, limit: int) -> int:
    from perdure.platform.brokers import broker  # not needed by --help

    bus = broker(url)
    try:
        return await bus.redrive(name, limit)
    finally:
        await bus.close()


def _of_database(options: argparse.Namespace, settings: "Settings") -> int:
    """Those that the bus of one process has put aside; its relay finds them in the outbox."""
    from perdure.adapters import outbox  # heavy, and not needed by --help
    from perdure.adapters.database import address, in_directory
    from perdure.migrations import histories

    url = settings.database_url or in_directory(given.data_directory(options.data, settings))
    here = histories.standing(url, "workflows")
    if not here.found:
        raise NotFound("No platform has worked here.", hint="Say where with --data, or set PERDURE_DATABASE_URL.")
    now = time.time_ns() // 1_000_000
    place = address(url, "workflows")
    with histories.opened(place, "workflows") as connection, histories.alone(connection, "workflows"):
        return outbox.again(connection, options.name, options.limit, now)


def _send(options: argparse.Namespace) -> int:
    """Hand it to the server that is meant, else keep it for whoever works in the directory."""
    from perdure.engines.embedded.spool import Spool  # not needed by --help

    event = _event(options)
    if server.is_meant(options):
        return _post(options, event)
    desk = drive.Desk(options)
    if not desk.has_journal:
        desk.deliver(event)
        print(event["id"])
        return 0
    desk.must_exist()
    Spool(desk.directory).put(desk.tenant, event)
    print(event["id"])
    print(
        f"perdure: The event is in {desk.directory}. Who works there takes it within a second; else the next one does.",
        file=sys.stderr,
    )
    return 0


def _post(options: argparse.Namespace, event: dict[str, Any]) -> int:
    """To a server, which tells whether it was there before."""
    from perdure.client import events  # not needed for a journal

    taken = server.ask(options, events.send(event))
    print(event["id"])
    if not taken.taken:
        print("perdure: The same event, by source and id, was there before.", file=sys.stderr)
    return 0


def _event(options: argparse.Namespace) -> dict[str, Any]:
    event: dict[str, Any] = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "perdure"}
    if options.event is not None:
        whole: Json = given.json_argument(options.event, "the event")
        if not isinstance(whole, dict):
            raise Invalid(
                "An event is a JSON object.", hint="For example --type com.example.done --payload '{\"n\": 1}'."
            )
        event = whole
    for name in _ATTRIBUTES:
        if getattr(options, name) is not None:
            event[name] = getattr(options, name)
    if options.payload is not None:
        event["data"] = given.json_argument(options.payload, "--payload")
    for name in ("type", "source", "id"):
        if not isinstance(event.get(name), str) or not event[name]:
            raise Invalid(f"The event has no {name}.", hint=f"Give it with --{name}, or in the event itself.")
    return event
