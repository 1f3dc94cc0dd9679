"""CloudEvents for the runs that wait for them, and for schedules that start at them."""

from typing import Any

import msgspec

from perdure.client.call import Call, call


class Taken(msgspec.Struct, frozen=True):
    """How many events were new, and how many were here before."""

    taken: int
    seen: int


def send(event: dict[str, Any]) -> Call[Taken]:
    """Deliver a CloudEvent (structured JSON form). The same event, by source and id, counts once."""
    return call("POST", "events", body=event, type="application/cloudevents+json", answer=Taken)


def send_all(events: list[dict[str, Any]]) -> Call[Taken]:
    """Deliver several CloudEvents at once: all of them, or none."""
    return call("POST", "events", body=events, type="application/cloudevents-batch+json", answer=Taken)
