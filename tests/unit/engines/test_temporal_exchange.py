"""Who hears of which event: the exchange of a tenant, without a server."""

import pytest

pytest.importorskip("temporalio")

from perdure.engines.temporal import exchange as module
from perdure.engines.temporal.exchange import ExchangeWorkflow, Kept
from tests.conformance.engine.world import event

GO = [{"with": {"type": "go"}}]
OUT = ["acme", "main-platform"]


class Exchange(ExchangeWorkflow):
    """Remembers whom it tells, at a time that the test sets."""

    def __init__(self, kept=None):
        super().__init__(kept)
        self.time = 1_000
        self.told = []

    def _now(self):
        return self.time

    def _tell(self, run, id, event):
        self.told.append((run, id, event["id"]))

    def _hand_out(self):
        """The platform is away."""


def subscribe(run="r", id="s", filters=GO, since=0):
    return {"do": "subscribe", "run": run, "id": id, "filters": filters, "since": since}


def test_an_event_goes_to_everyone_who_waits_for_it_once():
    exchange = Exchange()
    exchange.send([subscribe("a"), subscribe("b"), subscribe("c", filters=[{"with": {"type": "stop"}}])])
    assert exchange.deliver("d1", [event("go", "1"), event("go", "1"), event("halt", "2")]) == [True, True, True]
    assert exchange.told == [("a", "s", "1"), ("b", "s", "1")]
    assert exchange.deliver("d2", [event("go", "1")]) == [False]
    assert len(exchange.told) == 2


def test_a_delivery_that_is_handed_in_again_is_answered_as_before():
    exchange = Exchange()
    assert exchange.deliver("d1", [event("go", "1")]) == exchange.deliver("d1", [event("go", "1")]) == [True]
    assert exchange.look()["events"] == 1


def test_a_later_subscription_hears_what_was_kept_since_its_run_began():
    exchange = Exchange()
    exchange.deliver("d1", [event("go", "1")])
    exchange.time = 2_000
    exchange.deliver("d2", [event("go", "2")])
    exchange.send([subscribe(since=1_500)])
    assert exchange.told == [("r", "s", "2")]


def test_who_left_hears_nothing_more():
    exchange = Exchange()
    exchange.send(
        [subscribe(), {"do": "unsubscribe", "run": "r", "id": "s"}, {"do": "publish", "event": event("go", "1")}]
    )
    assert exchange.told == []
    assert exchange.look() == {"events": 1, "subscribers": 0, "is_busy": False, "outgoing": 0, "dropped": 0}


def test_events_are_forgotten_after_a_while_and_when_there_are_too_many(monkeypatch):
    exchange = Exchange()
    exchange.deliver("d1", [event("go", "old")])
    exchange.time += module._RETENTION
    monkeypatch.setattr(module, "_KEPT", 3)
    for number in range(5):
        exchange.deliver(f"d{number + 2}", [event("go", str(number))])
    assert [one["id"] for _, _, one in exchange._kept.events] == ["2", "3", "4"]
    monkeypatch.setattr(module, "_KEPT_BYTES", 500)
    exchange.deliver("big", [event("go", "big", data="x" * 400)])
    assert [one["id"] for _, _, one in exchange._kept.events] == ["big"]
    monkeypatch.setattr(module, "_SEEN", 1)
    exchange.deliver("next", [event("go", "next")])
    assert list(exchange._kept.seen.values()) == ["next"]


def test_the_next_execution_goes_on_with_all_of_it():
    first = Exchange()
    first.send([subscribe()])
    first.deliver("d1", [event("go", "1")])
    second = Exchange(Kept(first._kept.events, first._kept.subscriptions, first._kept.seen))
    assert second.deliver("d2", [event("go", "1"), event("go", "2")]) == [False, True]
    assert second.told == [("r", "s", "2")]


def publish(id, **more):
    return {"do": "publish", "event": event("go", id), **more}


def test_what_runs_of_a_platform_emit_is_kept_until_it_is_taken():
    exchange = Exchange()
    exchange.send([publish("1", out=OUT), publish("2"), publish("1", out=OUT), publish("3", out=OUT)])
    exchange.deliver("d1", [event("go", "4")])
    assert [one["id"] for _, one in exchange._kept.outgoing] == ["1", "3"]
    assert exchange.look()["outgoing"] == 2
    assert Exchange(exchange._kept).look()["outgoing"] == 2
    exchange.send(
        [{"do": "report", "event": event("fault", "5"), "out": OUT}, subscribe(filters=[{"with": {"type": "fault"}}])]
    )
    assert (exchange.look()["outgoing"], exchange.told) == (3, []), "for the platform alone"


def test_a_batch_is_bounded_by_number_and_size():
    assert module.batch([[1, number] for number in range(1_000)]) == list(range(module._BATCH))
    big = module._BATCH_BYTES
    assert module.batch([[big * 2, "a"], [1, "b"]]) == ["a"], "one is always taken"
    assert module.batch([[big // 2, "a"], [big // 2, "b"], [1, "c"]]) == ["a", "b"]
