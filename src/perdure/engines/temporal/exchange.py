"""One workflow per tenant: who waits for which CloudEvent, and the events that are kept for later subscriptions.

Runs tell it what they wait for and what they emit; it tells each of them what matches, once and in order. What runs emit that
a platform began goes to that platform as well (`ports/outlet.py`), in order and at least once; until it has taken it, it is kept.
"""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    import msgspec

    from perdure.engines.temporal import protocol
    from perdure.interpreter.correlation import could_match, identity
    from perdure.interpreter.events import EventReceived

_RETENTION = 7 * 24 * 3600 * 1000
_KEPT, _KEPT_BYTES, _SEEN = 10_000, 8_000_000, 20_000
_OUTGOING, _OUTGOING_BYTES = 50_000, 32_000_000
"""What is held for a platform that takes nothing; what comes then is counted, said and dropped, or the exchange would grow
until its worker dies, and with it all events of the tenant."""
_LONG = 4_000
_BATCH, _BATCH_BYTES = 100, 500_000
_PATIENCE = timedelta(seconds=60)
_RETRIES = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=15))
"""Without an end: a platform that is away takes what it missed when it is back."""


class Kept(msgspec.Struct):
    """What an execution of the exchange hands to the next one."""

    events: list[Any] = msgspec.field(default_factory=list)
    """[at, bytes, event], oldest first."""
    subscriptions: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    """Workflow id -> subscription -> filters."""
    seen: dict[str, str] = msgspec.field(default_factory=dict)
    """Identity of an event -> the delivery that brought it."""
    outgoing: list[Any] = msgspec.field(default_factory=list)
    """[bytes, event] that the platform has not taken yet, oldest first."""
    out: list[str] = msgspec.field(default_factory=list)
    """The tenant, and the queue at which the platform takes its events."""
    dropped: int = 0
    """Events that the platform never gets: it had taken nothing for too long."""


@workflow.defn(name=protocol.EXCHANGE)
class ExchangeWorkflow:
    """Never ends; goes on in a new execution when its history has grown."""

    @workflow.init
    def __init__(self, kept: Kept | None = None) -> None:
        self._kept = kept or Kept()
        self._lanes: dict[str, list[Any]] = {}
        self._bytes = sum(size for _, size, _ in self._kept.events)
        self._outgoing_bytes = sum(size for size, _ in self._kept.outgoing)
        self._is_handing_out = False

    @workflow.run
    async def run(self, kept: Kept | None = None) -> None:
        self._hand_out()
        await workflow.wait_condition(lambda: self._is_over() and not self._lanes and workflow.all_handlers_finished())
        workflow.continue_as_new(self._kept)

    def _is_over(self) -> bool:
        """Whether the next execution shall go on. It hands out again what is under way then, so this one waits for a while."""
        info = workflow.info()
        length = info.get_current_history_length()
        is_long = length > _LONG or info.is_continue_as_new_suggested()
        return is_long and (not self._is_handing_out or length > 2 * _LONG)

    @workflow.signal(name=protocol.SEND)
    def send(self, messages: list[Any]) -> None:
        """What runs say."""
        for message in messages:
            if message["do"] == "publish":
                if self._publish(message["event"], "") and "out" in message:
                    self._report(message["event"], message["out"])
            elif message["do"] == "report":
                self._report(message["event"], message["out"])
            elif message["do"] == "subscribe":
                self._subscribe(message)
            else:
                self._unsubscribe(message["run"], message["id"])

    @workflow.update(name=protocol.DELIVER)
    def deliver(self, delivery: str, events: list[Any]) -> list[bool]:
        """Events from outside. False for one that was here before, but not with this same delivery."""
        return [self._publish(event, delivery) for event in events]

    @workflow.query(name=protocol.LOOK)
    def look(self) -> dict[str, Any]:
        """What it holds, in counts."""
        kept = self._kept
        return {
            "events": len(kept.events), "subscribers": len(kept.subscriptions), "is_busy": bool(self._lanes),
            "outgoing": len(kept.outgoing), "dropped": kept.dropped,
        }  # fmt: skip

    def _publish(self, event: dict[str, Any], delivery: str) -> bool:
        kept, name, now = self._kept, identity(event), self._now()
        if name in kept.seen:
            return bool(delivery) and kept.seen[name] == delivery
        kept.seen[name] = delivery
        while len(kept.seen) > _SEEN:
            del kept.seen[next(iter(kept.seen))]
        size = len(msgspec.json.encode(event))
        kept.events.append([now, size, event])
        self._bytes += size
        self._forget(now)
        for run, subscriptions in list(kept.subscriptions.items()):
            for id, filters in subscriptions.items():
                if could_match(filters, event):
                    self._tell(run, id, event)
        return True

    def _forget(self, now: int) -> None:
        events = self._kept.events
        count = 0
        for at, size, _ in events:
            if at + _RETENTION > now and len(events) - count <= _KEPT and self._bytes <= _KEPT_BYTES:
                break
            self._bytes -= size
            count += 1
        del events[:count]

    def _subscribe(self, message: dict[str, Any]) -> None:
        run, id, filters = message["run"], message["id"], message["filters"]
        self._kept.subscriptions.setdefault(run, {})[id] = filters
        self._forget(self._now())
        for at, _, event in self._kept.events:
            if at >= message["since"] and could_match(filters, event):
                self._tell(run, id, event)

    def _unsubscribe(self, run: str, id: str) -> None:
        subscriptions = self._kept.subscriptions.get(run, {})
        subscriptions.pop(id, None)
        if not subscriptions:
            self._kept.subscriptions.pop(run, None)

    def _now(self) -> int:
        return workflow.time_ns() // 1_000_000

    def _tell(self, run: str, id: str, event: dict[str, Any]) -> None:
        lane = self._lanes.get(run)
        if lane is None:
            self._lanes[run] = lane = []
            asyncio.get_running_loop().create_task(self._empty(run, lane))
        lane.append(EventReceived(now=0, id=id, event=event))

    async def _empty(self, run: str, lane: list[Any]) -> None:
        while lane:
            sent = lane[:]
            try:
                await workflow.get_external_workflow_handle(run).signal(protocol.TELL, sent)
            except FailureError:  # the run is no more
                self._kept.subscriptions.pop(run, None)
            del lane[: len(sent)]
        del self._lanes[run]

    # What the platform takes

    def _report(self, event: dict[str, Any], out: list[str]) -> None:
        kept, size = self._kept, len(msgspec.json.encode(event))
        kept.out = out
        if len(kept.outgoing) < _OUTGOING and self._outgoing_bytes + size <= _OUTGOING_BYTES:
            kept.outgoing.append([size, event])
            self._outgoing_bytes += size
        else:
            kept.dropped += 1
            if kept.dropped.bit_count() == 1:  # at 1, 2, 4, 8 and so on
                workflow.logger.warning(
                    "No worker takes the events of the tenant %s at the queue %s: %d were dropped so far.",
                    *out,
                    kept.dropped,
                )
        self._hand_out()

    def _hand_out(self) -> None:
        if self._kept.outgoing and not self._is_handing_out:
            self._is_handing_out = True
            asyncio.get_running_loop().create_task(self._hand_all_out())

    async def _hand_all_out(self) -> None:
        """One batch after the other, in order."""
        outgoing = self._kept.outgoing
        tenant, queue = self._kept.out
        while outgoing:
            try:
                taken: int = await workflow.execute_activity(
                    protocol.HAND_OUT,
                    args=[tenant, batch(outgoing)],
                    task_queue=queue,
                    start_to_close_timeout=_PATIENCE,
                    retry_policy=_RETRIES,
                )
            except FailureError:  # the server gave it up; the platform did not take it
                await asyncio.sleep(_PATIENCE.total_seconds())
                continue
            self._outgoing_bytes -= sum(size for size, _ in outgoing[:taken])
            del outgoing[:taken]
        self._is_handing_out = False


def batch(outgoing: list[Any]) -> list[Any]:
    """The first events, as many as are good to handle at once."""
    found: list[Any] = []
    room = _BATCH_BYTES
    for size, event in outgoing[:_BATCH]:
        room -= size
        if found and room < 0:
            break
        found.append(event)
    return found
