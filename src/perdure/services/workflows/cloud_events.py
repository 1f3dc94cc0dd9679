"""CloudEvents as they come over HTTP: structured, binary and batch (CloudEvents 1.0, HTTP protocol binding). Pure."""

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from perdure.errors import Invalid
from perdure.language.values import Json
from perdure.services.workflows.models import decoded_json

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
MOST = 1_000
RESERVED = ("dev.perdure.", "io.serverlessworkflow.")
"""Types that only Perdure tells: a decision comes from the inbox, and a run's steps from the run."""
_name = re.compile(r"[a-z0-9]{1,64}\Z")
_TEXTS = ("id", "source", "type", "subject", "datacontenttype", "dataschema", "time")
_HINT = "See cloudevents.io: `specversion`, `id`, `source` and `type` are needed."


def parse(content_type: str, headers: Mapping[str, str], body: bytes) -> list[dict[str, Any]]:
    """The events of a request. Invalid for anything that is none."""
    media = content_type.partition(";")[0].strip().lower()
    if media == BATCH:
        found = decoded_json(body)
        if not isinstance(found, list):
            raise Invalid("A batch is a JSON array of events.", hint=_HINT)
        if len(found) > MOST:
            raise Invalid(f"A batch holds {MOST:,} events at most.")
        return [checked(event) for event in found]
    if "ce-specversion" in headers or "ce-id" in headers:
        return [checked(_binary(media, headers, body))]
    return [checked(decoded_json(body))]


def checked(event: Json) -> dict[str, Any]:
    """An event in structured JSON form that keeps the rules, or Invalid with the first that it breaks."""
    if not isinstance(event, dict):
        raise Invalid("An event is a JSON object.", hint=_HINT)
    if event.get("specversion") != "1.0":
        raise Invalid("The event's `specversion` is not 1.0.", hint=_HINT)
    for name in ("id", "source", "type"):
        if not event.get(name):
            raise Invalid(f"The event has no `{name}`.", hint=_HINT)
    for name, value in event.items():
        if name in {"data", "data_base64"}:
            continue
        if not _name.match(name):
            raise Invalid(f"{name[:80]!r} is no name of an attribute: those are lower-case letters and digits.")
        if name in _TEXTS and (not isinstance(value, str) or not value):
            raise Invalid(f"The event's `{name}` must be a text.", hint=_HINT)
        if not isinstance(value, str | int | bool):
            raise Invalid(f"The event's `{name}` must be a text, a whole number or a boolean.")
    if event["type"].startswith(RESERVED):
        raise Invalid(
            f"Events of the type {event['type'][:80]!r} cannot be sent: only Perdure tells those.",
            hint="Decide in the inbox, or choose a type of your own.",
        )
    _check_data(event)
    return event


def _check_data(event: dict[str, Any]) -> None:
    if "time" in event:
        try:
            datetime.fromisoformat(event["time"])
        except ValueError:
            raise Invalid("The event's `time` is no time as RFC 3339 has it.") from None
    if "data_base64" not in event:
        return
    if "data" in event:
        raise Invalid("An event has `data` or `data_base64`, not both.")
    try:
        base64.b64decode(event["data_base64"], validate=True)
    except (ValueError, TypeError):
        raise Invalid("The event's `data_base64` is not base64.") from None


def _binary(media: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    event: dict[str, Any] = {
        name[3:].lower(): unquote(value) for name, value in headers.items() if name.lower().startswith("ce-")
    }
    if media:
        event["datacontenttype"] = headers.get("content-type", media)
    if not body:
        return event
    if media == "application/json" or media.endswith("+json"):
        event["data"] = decoded_json(body)
    elif media.startswith("text/"):
        try:
            event["data"] = body.decode()
        except UnicodeDecodeError:
            raise Invalid("The event's data is not UTF-8.") from None
    else:
        event["data_base64"] = base64.b64encode(body).decode()
    return event
