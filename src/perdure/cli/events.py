"""`perdure events send`: hand a CloudEvent to the runs of a data directory."""

import argparse
import sys
import uuid
from typing import Any

from perdure.cli import drive, given
from perdure.errors import Invalid
from perdure.language.values import Json

_EPILOG = """\
A `listen` waits for a CloudEvent; this sends one from the shell. The event is kept in the data directory, safe from
crashes and power cuts: a process that works there takes it within a second, else the next one does. The same event
(by source and id) sent twice counts once. Its id is printed on standard output.

examples:
  perdure events send --type com.example.approval.decided.v1 --subject req-7 --payload '{"approved": true}'
  perdure events send @event.json
  curl -s https://example.com/event | perdure events send -
"""
_ATTRIBUTES = ("type", "source", "subject", "id")


def arguments(parser: argparse.ArgumentParser) -> None:
    """One verb."""
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


def execute(options: argparse.Namespace) -> int:
    """Keep the event for whoever works in the directory."""
    from perdure.engines.embedded.spool import Spool  # not needed by --help

    desk = drive.Desk(options)
    event = _event(options)
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
