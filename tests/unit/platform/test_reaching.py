"""Waiting for what is away, and going on without what is only watched."""

import asyncio
import contextlib

import pytest

from perdure.errors import Unavailable
from perdure.platform import reaching
from perdure.platform.reaching import Away, missing, part, part_of, reached


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(reaching, "_AGAIN", 0.0)


async def test_it_is_tried_until_it_is_there():
    reasons, told = ["one", "two"], []

    @contextlib.asynccontextmanager
    async def opened():
        with part("engine"):
            if reasons:
                raise Unavailable(reasons.pop(0), hint="Start it.")
        yield "open"

    async with contextlib.AsyncExitStack() as stack:
        assert await reached(opened, stack, asyncio.Event(), told.append) == "open"
    assert [(error.message, error.hint, part_of(error)) for error in told] == [
        ("one", "Start it.", "engine"),
        ("two", "Start it.", "engine"),
    ]


async def test_told_to_stop_it_tries_no_more():
    stop = asyncio.Event()

    @contextlib.asynccontextmanager
    async def opened():
        stop.set()
        raise Unavailable("away")
        yield

    async with contextlib.AsyncExitStack() as stack:
        assert await reached(opened, stack, stop, lambda error: None) is None


def test_the_innermost_part_is_named():
    with pytest.raises(Away) as raised, part("database"), part("engine"):
        raise Unavailable("away")
    assert raised.value.part == "engine"
    assert part_of(Unavailable("away")) == "servers"


async def test_what_a_process_begins_without_is_said(monkeypatch):
    monkeypatch.setattr(reaching, "_PATIENCE", 0.01)

    async def away():
        raise Unavailable("Valkey or Redis cannot be reached: refused.")

    async def silent():
        await asyncio.Event().wait()

    async def well():
        return

    told = await missing({"cache": away, "broker": silent, "other": well})
    assert told[0].startswith("Valkey or Redis cannot be reached: refused. Limits")
    assert "did not answer" in told[1]
    assert len(told) == 2
