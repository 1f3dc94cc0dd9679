"""Ends of a Python function that no future can carry must still answer the call."""

import asyncio
import sys

import pytest

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.functions.python import _MARK, PythonFunction, function
from tests.conformance.engine.world import World, workflow


def runs_dry():
    return next(iter([]))


def leaves():
    sys.exit(3)


async def cancels_itself():
    raise asyncio.CancelledError


@pytest.mark.parametrize("code", [runs_dry, leaves, cancels_itself], ids=lambda code: code.__name__)
async def test_it_is_answered(code, tmp_path):
    world = World()
    world.functions[code.__name__] = PythonFunction(code, getattr(function(code), _MARK))
    async with EmbeddedEngine(tmp_path, world, clock=SystemClock()) as engine:
        run = await engine.start("acme", workflow(world, f"- t: {{call: {code.__name__}}}"), {})
        assert (await asyncio.wait_for(engine.wait("acme", run), 10)).status == "faulted"
