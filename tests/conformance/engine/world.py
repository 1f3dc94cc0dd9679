"""A small world for engines: real documents, a table of Python functions that count, and a way to start again."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from perdure.errors import NotFound
from perdure.interpreter import handles
from perdure.interpreter.budget_hold import BUDGET
from perdure.interpreter.faults import problem
from perdure.language.check import check
from perdure.language.read import read
from perdure.ports.function import Context, Effect, FunctionFault, Result


class Counted:
    """A function of the world: does something small, and remembers every call by its idempotency key."""

    version = "1.0.0"
    summary = "A function of the engine's tests."
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] = {}

    def __init__(
        self, name: str, act: Callable[["World", Any, Context], Awaitable[Any]], world: "World", effect: Effect
    ) -> None:
        self.name = name
        self.effect = effect
        self._act = act
        self._world = world

    def effect_of(self, arguments: Any, resources: dict[str, Any]) -> Effect:
        return self.effect

    async def execute(self, arguments: Any, context: Context) -> Any:
        self._world.calls[self.name] += 1
        self._world.keys[context.key] += 1
        return await self._act(self._world, handles.resolve(arguments, context.secret), context)


class World:
    """What the functions share. `gate` holds calls of `held` until it is opened."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.keys: Counter[str] = Counter()
        self.gate = asyncio.Event()
        self.arrived = asyncio.Event()
        self.failures = 0
        self.seen: list[Any] = []
        self.functions = {
            name: Counted(name, act, self, effect)
            for name, act, effect in (
                ("noop", _noop, "idempotent"),
                ("echo", _echo, "idempotent"),
                ("held", _held, "idempotent"),
                ("charge", _held, "unsafe"),
                ("flaky", _flaky, "idempotent"),
                ("broken", _broken, "idempotent"),
                ("raw", _raw, "idempotent"),
                ("big", _big, "read"),
                ("used", _used, "read"),
                ("slow", _slow, "read"),
                ("reporting", _reporting, "read"),
                ("paid", _paid, "idempotent"),
                ("pinned", _pinned, "read"),
            )
        }
        self.answer: Any = None
        self.refusals: list[dict[str, Any]] = []

    def get(self, name: str, version: str | None) -> Counted:
        if name not in self.functions:
            raise NotFound(f"There is no function {name}.")
        return self.functions[name]

    def names(self) -> list[str]:
        return list(self.functions)

    def schema_of(self, name: str, version: str | None) -> dict[str, Any] | None:
        return {} if name in self.functions else None


async def _noop(world: World, arguments: Any, context: Context) -> Any:
    return None


async def _echo(world: World, arguments: Any, context: Context) -> Any:
    world.seen.append(arguments)
    return arguments


async def _held(world: World, arguments: Any, context: Context) -> Any:
    world.arrived.set()
    await world.gate.wait()
    return arguments


async def _flaky(world: World, arguments: Any, context: Context) -> Any:
    if world.failures > 0:
        world.failures -= 1
        raise FunctionFault(problem("communication", detail="not now", status=503))
    return arguments


async def _broken(world: World, arguments: Any, context: Context) -> Any:
    raise ValueError("this never works")


async def _raw(world: World, arguments: Any, context: Context) -> Any:
    return world.answer


async def _big(world: World, arguments: Any, context: Context) -> Any:
    return {"items": [{"number": number, "text": "x" * 30} for number in range(arguments["count"])]}


async def _used(world: World, arguments: Any, context: Context) -> Any:
    context.progress({"half": True})
    return Result(arguments, usage={"inputTokens": 3})


async def _reporting(world: World, arguments: Any, context: Context) -> Any:
    context.progress({"half": True})
    await world.gate.wait()
    return None


async def _pinned(world: World, arguments: Any, context: Context) -> Any:
    return context.resources


async def _paid(world: World, arguments: Any, context: Context) -> Any:
    """A budget refuses it as often as the test says, with what may be waited for."""
    if not world.refusals:
        return arguments
    told = {"type": BUDGET, "status": 429, "title": "budget used up", "detail": "It is used up.", "budget": "bud_1"}
    hold = world.refusals.pop(0)
    world.arrived.set()
    await world.gate.wait()
    raise FunctionFault({**told, "hold": hold})


async def _slow(world: World, arguments: Any, context: Context) -> Any:
    await asyncio.Event().wait()


def workflow(world: World, tasks: str, *, name: str = "demo", version: str = "1.0.0", more: str = "") -> Any:
    """A document from the text of its `do` list, checked as every document is."""
    body = "\n".join("  " + line for line in tasks.strip("\n").splitlines())
    text = f"document: {{dsl: 1.0.3, namespace: test, name: {name}, version: {version}}}\n{more}\ndo:\n{body}\n"
    reading = read(text)
    findings = [finding for finding in check(reading, functions=world) if finding.severity == "error"]
    assert not findings, findings
    return reading.value


def event(type: str, id: str = "1", **more: Any) -> dict[str, Any]:
    """A CloudEvent."""
    return {"specversion": "1.0", "type": type, "source": "https://test.example/", "id": id, **more}
