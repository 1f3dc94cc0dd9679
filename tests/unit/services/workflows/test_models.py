"""The nouns: which states follow which, versions in order, ids, and what cannot be kept."""

import itertools

import pytest

from perdure.errors import Conflict, Invalid
from perdure.ports.ids import new_id
from perdure.services.workflows import models
from perdure.services.workflows.models import Workflow


def workflow(state) -> Workflow:
    return Workflow(tenant="t", id="n.w", namespace="n", name="w", state=state, default="1.0.0", created=0, updated=0)


@pytest.mark.parametrize(
    ("state", "verb"),
    list(itertools.product(("enabled", "disabled", "archived"), ("enable", "disable", "archive", "restore"))),
)
def test_states_of_workflows(state, verb):
    legal = models.WORKFLOW.get((state, verb))
    if legal is None:
        with pytest.raises(Conflict):
            models.moved(workflow(state), verb)
    else:
        assert models.moved(workflow(state), verb) == legal


def test_every_state_that_something_leads_to_has_a_row():
    assert {after for states in models.FIRING.values() for after in states} <= set(models.FIRING)
    assert {after for states in models.ITEM.values() for after in states} <= set(models.ITEM)
    assert set(models.SCHEDULE.values()) == {"active", "paused"}


def test_versions_are_ordered_as_semver_says():
    ordered = [
        "banana", "0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
        "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0", "2.0.0+build",
    ]  # fmt: skip
    mixed = ordered[1::2] + ordered[::2]
    assert sorted(mixed, key=models.precedence) == ordered


def test_ids():
    early, late = (new_id("sch", now, bytes(10)) for now in (1_700_000_000_000, 1_800_000_000_000))
    assert early.startswith("sch_")
    assert early < late
    assert len(early) == 4 + 26
    assert models.run_id("a", 1) == models.run_id("a", "1") != models.run_id("a", 2)
    assert models.checked_run("order-17.a_b") == "order-17.a_b"
    for wrong in ("", "-a", "a-", "a/b", "a b", "ä", "a" * 101):
        with pytest.raises(Invalid):
            models.checked_run(wrong)


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def test_what_can_be_kept():
    assert models.checked_json({"a": [1, None]}) == {"a": [1, None]}
    for wrong in (float("inf"), object(), "\ud800", deep(100_000)):
        with pytest.raises(Invalid):
            models.checked_json(wrong)
    assert models.decoded_json(b'{"a": 1}') == {"a": 1}
    for body in (b"", b"{", b"\xff", b"[" * 100_000, b"[" + b"{}," * 300_000 + b"{}]"):
        with pytest.raises(Invalid):
            models.decoded_json(body)
    assert models.checked_text("fine", "name", 10) == "fine"
    for text in ("a\x00", "a\nb", "long" * 10, "\ud800"):
        with pytest.raises(Invalid):
            models.checked_text(text, "name", 10)
