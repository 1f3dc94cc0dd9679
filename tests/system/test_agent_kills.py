"""An agent killed at every event of its run: nothing is bought twice, and no tool whose result is known is called again.

Once on the pure driver, once on the embedded engine; there also just before and just after each commit of a fact.
"""

import asyncio
from typing import Any

import msgspec
import pytest

import perdure
from perdure.adapters.scripted_model import ScriptedModel
from perdure.engines.embedded.batch import Batch
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.functions.agent import Agent
from perdure.functions.model import Model
from perdure.functions.model_providers import Providers
from perdure.functions.python import PythonFunction
from perdure.functions.table import Table
from perdure.interpreter import commands as c
from perdure.interpreter.faults import problem
from perdure.language.read import read
from perdure.ports.engine import ENDED
from perdure.ports.function import FunctionFault
from perdure.ports.model import Answer, ToolCall
from tests.conformance.language.driver import TENANT, Driver
from tests.conformance.language.engine_driver import FACTS, EngineDriver, Killed
from tests.conformance.language.world import ScriptedSecrets

DOCUMENT = """
document: { dsl: '1.0.3', namespace: test, name: agent, version: '1.0.0' }
use:
  functions:
    both: { do: [ { first: { call: lookup, with: { id: '${ .id }' } } }, { second: { call: lookup, with: { id: '${ . }' } } } ] }
do:
  - ask:
      call: agent
      with:
        instruction: Settle it.
        tools: [ lookup, note, both ]
        output: { type: object, required: [done], properties: { done: { type: boolean } } }
"""
SCRIPT = [
    {"toolCalls": [{"name": "lookup", "arguments": {"id": n}} for n in (1, 2)]},
    {"toolCalls": [{"name": "both", "arguments": {"id": 3}}, {"name": "lookup", "arguments": {"id": -1}}]},
    {"toolCalls": [{"name": "note", "arguments": {"text": "t"}}, {"name": "guess"}]},
    {"text": "no JSON", "usage": {"inputTokens": 9}},
    {"text": '{"done": true}'},
]


class World:
    """What outlives a process: the log of all that reached the model and the tools, as (name, key)."""

    document = DOCUMENT

    def __init__(self, folder):
        self.log: list[tuple[str, str]] = []
        script = folder / "script.json"
        script.write_bytes(msgspec.json.encode(SCRIPT))
        self.model = ScriptedModel(script)
        self.asked: dict[str, Any] = {}
        self.stop = asyncio.Event()
        self.hang = False

    def table(self, summary: str = "As first.") -> Table:
        return Table([Agent(), Model(Providers(self, ["scripted"])), *self._tools(summary)])

    async def ask(self, request):
        self.log.append(("model", request.key))
        same = self.asked.setdefault(request.key, request)
        assert same == request, "another request under the same key"
        return await self.model.ask(request)

    def _tools(self, summary):
        # As a read it would share commits with others (ADR 0021), and be made again where its question is forgotten too.
        @perdure.function(effect="idempotent", summary=summary)
        async def lookup(id: int, context: Any) -> int:
            self.log.append(("lookup", context.key))
            if id < 0:
                raise ValueError("There is no such id.")
            return id + 1

        @perdure.function(effect="unsafe", summary=summary)
        async def note(text: str, context: Any) -> str:
            self.log.append(("note", context.key))
            if self.hang:
                await self.stop.wait()
            return f"noted {text}"

        for code in (lookup, note):
            yield PythonFunction(code, code.__perdure_function__)


def of_one_life(log):
    """Each thing once, by its key."""
    return sorted(set(log))


def finish(driver, run):
    driver.settle()
    driver.finish(run)
    seen = driver.seen(run)
    assert (seen.status, seen.output) == ("completed", {"done": True}), seen.error
    return seen


@pytest.fixture
def loop():
    with asyncio.Runner() as runner:
        yield runner


# The pure driver


class Stepwise(Driver):
    """Asked functions answer as in `Driver`; what a Python function raises is a fault, as on an engine."""

    async def _execute(self, name, command):
        try:
            return await super()._execute(name, command)
        except ValueError as error:
            raise FunctionFault(problem("runtime", detail=str(error)), "unknown") from None

    def _take(self):
        super()._take()
        self.taken = getattr(self, "taken", 0) + 1


def pure(loop, folder, kill_at, kind=World):
    folder.mkdir(exist_ok=True)
    world = kind(folder)
    driver = Stepwise(loop, ScriptedSecrets())
    driver.table = world.table()
    run = driver.start(read(world.document).value, {}, {})
    while driver._queue and driver.runs[run].status not in ENDED:
        driver._take()
        if driver.taken == kill_at:
            waits = {command.key for command in driver.runs[run].open.values() if isinstance(command, c.ScheduleCall)}
            known, before = {key for _name, key in world.log} - waits, len(world.log)
            driver.kill()
            assert not known & {key for _name, key in world.log[before:]}
    found = driver.runs[run]
    assert (found.status, found.output) == ("completed", {"done": True}), found.error
    return world, driver


def test_killed_at_every_event_on_the_pure_driver(loop, tmp_path):
    whole, driver = pure(loop, tmp_path / "whole", None)
    assert len(whole.log) == len(set(whole.log)) == 5 + 2 + 2 + 1 + 1
    for index in range(1, driver.taken + 1):
        world, _ = pure(loop, tmp_path / str(index), index)
        assert of_one_life(world.log) == of_one_life(whole.log), f"killed at event {index}"


# The embedded engine


class KilledOnce(EngineDriver):
    """Dies at one commit of a fact: before it is stored, or after. Then it looks what is known, and starts again."""

    def __init__(self, loop, folder, world, at, *, stored):
        super().__init__(loop, ScriptedSecrets(), folder, "killed")
        self.table = world.table()
        self.world = world
        self.at = at
        self.stored = stored
        self.commits = 0
        self.known: set[str] = set()
        self.before = 0

    def _arm(self, engine):
        journal = engine._journal
        commit = journal.commit

        def counted(batch: Batch) -> None:
            statements = [(query, list(rows)) for query, rows in batch.statements()]
            if self._dead.is_set():
                raise Killed
            if any(query in FACTS for query, _ in statements):
                self.commits += 1
                if self.commits == self.at:
                    self._dead.set()
                    if self.stored:
                        commit(batch)
                    raise Killed
            commit(batch)

        journal.commit = counted

    async def _restart(self):
        await self._bury(self._engine)
        self._kills = False
        await self._look()
        await self._open()

    async def _look(self):
        """Which calls have an answer, by what the journal says."""
        engine = EmbeddedEngine(self._folder, self.table, clock=self.clock)
        await engine.open(recover=False)
        rows = await engine.find(TENANT, limit=1)
        waits = set()
        if rows:
            record = engine._residents.get(engine._starts._key(TENANT, rows[0].id), ended=True)
            waits = {command.key for command in record.open.values() if isinstance(command, c.ScheduleCall)}
        self.known = {key for _name, key in self.world.log} - waits
        self.before = len(self.world.log)
        await engine.close()


def embedded(loop, folder, at, *, stored=True, hang=False, kind=World):
    folder.mkdir(exist_ok=True)
    world = kind(folder)
    world.hang = hang
    driver = KilledOnce(loop, folder / "data", world, at, stored=stored)
    run = driver.start(read(world.document).value, {}, {})
    return world, driver, run


@pytest.mark.parametrize("stored", [False, True])
def test_killed_at_every_commit_on_the_embedded_engine(loop, tmp_path, stored):
    whole, driver, run = embedded(loop, tmp_path / "whole", None)
    finish(driver, run)
    commits = driver.commits
    driver.close()
    assert len(whole.log) == len(set(whole.log)) == 5 + 2 + 2 + 1 + 1
    assert commits >= 10
    unknown = 0
    for index in range(1, commits + 1):
        world, driver, run = embedded(loop, tmp_path / str(index), index, stored=stored)
        driver.settle()
        seen = driver.seen(run)
        if seen.status == "faulted":  # the one unsafe call was being made
            assert (seen.error or {}).get("title") == "outcome unknown", seen.error
            unknown += 1
            assert [name for name, key in world.log[driver.before :] if key in driver.known] == []
            driver.skip(run, "noted t")
            world.log.append(next(line for line in whole.log if line[0] == "note"))
        finish(driver, run)
        assert not driver.known & {key for _name, key in world.log[driver.before :] if _name != "note"}
        assert of_one_life(world.log) == of_one_life(whole.log), f"killed at commit {index}"
        driver.close()
    assert unknown == 1


def test_an_unsafe_tool_in_flight_is_not_called_again_by_itself(loop, tmp_path):
    world, driver, run = embedded(loop, tmp_path / "one", None, hang=True)
    loop.run(reached(world, "note"))
    driver.kill()
    driver.settle()
    error = driver.seen(run).error
    assert (error["title"], error["instance"]) == ("outcome unknown", "/do/0/ask")
    assert [name for name, _key in world.log].count("note") == 1
    world.hang = False
    driver.retry(run)
    finish(driver, run)
    assert [name for name, _key in world.log].count("note") == 2
    assert len({key for name, key in world.log if name == "note"}) == 1, "a retry keeps the key"
    assert len({key for name, key in world.log if name == "model"}) == len(world.model.requests) == 5
    driver.close()


def test_a_killed_run_goes_on_with_the_tools_that_it_began_with(loop, tmp_path):
    world, driver, run = embedded(loop, tmp_path / "one", None, hang=True)
    loop.run(reached(world, "note"))
    world.hang = False
    driver.table = world.table(summary="Changed meanwhile.")
    driver.kill()
    driver.settle()
    driver.retry(run)
    finish(driver, run)
    assert {tool.description for request in world.asked.values() for tool in request.tools} == {"As first.", ""}
    again = driver.start(read(DOCUMENT).value, {}, {})
    finish(driver, again)
    assert "Changed meanwhile." in {tool.description for request in world.asked.values() for tool in request.tools}
    driver.close()


# Summaries, sub-agents, and a conversation that is handed over

RELAY = """
document: { dsl: '1.0.3', namespace: test, name: relay, version: '1.0.0' }
use:
  functions:
    scout: { call: agent, with: { instruction: You are the scout., tools: [lookup] } }
    billing:
      call: agent
      with: { instruction: You are billing., tools: [lookup], output: { type: object, required: [done] } }
do:
  - ask:
      call: agent
      with:
        instruction: Settle it.
        tools: [scout]
        handover: [billing]
        context: { characters: 1000, full: summarize }
        output: { type: object, required: [done] }
"""


class Relay(World):
    """The first asks a scout twice, is told its own story in short, and hands over to billing."""

    document = RELAY

    async def ask(self, request):
        self.log.append(("model", request.key))
        assert self.asked.setdefault(request.key, request) == request, "another request under the same key"
        instruction, said = request.messages[0].text, "".join(message.text for message in request.messages[1:])
        has_result = request.messages[-1].role == "tool"
        if instruction.startswith("Summarize"):
            return answered("The scout was asked twice.")
        if "scout" in instruction:
            return answered("x" * 600) if has_result else answered(call=("lookup", {"id": 1}))
        if "billing" in instruction:
            return answered('{"done": true}') if has_result else answered(call=("lookup", {"id": 2}))
        return answered(call=("billing", {}) if "[what happened before" in said else ("scout", {}))


def answered(text="", call=None):
    calls = () if call is None else (ToolCall("c", *call),)
    return Answer(text=text, finish="tools" if calls else "stop", usage={}, tool_calls=calls)


def test_a_relay_killed_at_every_event_on_the_pure_driver(loop, tmp_path):
    whole, driver = pure(loop, tmp_path / "whole", None, Relay)
    models = [request.messages[0].text.split("\n")[0] for request in whole.asked.values()]
    assert sum(model.startswith("Summarize") for model in models) == 1
    assert len(whole.log) == len(set(whole.log)) == 3 + 2 * 3 + 1 + 3
    for index in range(1, driver.taken + 1):
        world, _ = pure(loop, tmp_path / str(index), index, Relay)
        assert of_one_life(world.log) == of_one_life(whole.log), f"killed at event {index}"


@pytest.mark.parametrize("stored", [False, True])
def test_a_relay_killed_at_every_commit_on_the_embedded_engine(loop, tmp_path, stored):
    whole, driver, run = embedded(loop, tmp_path / "whole", None, kind=Relay)
    finish(driver, run)
    commits = driver.commits
    driver.close()
    for index in range(1, commits + 1):
        world, driver, run = embedded(loop, tmp_path / str(index), index, stored=stored, kind=Relay)
        finish(driver, run)
        assert not driver.known & {key for _name, key in world.log[driver.before :]}
        assert of_one_life(world.log) == of_one_life(whole.log), f"killed at commit {index}"
        driver.close()


async def reached(world, name):
    for _ in range(1_000):
        if any(line[0] == name for line in world.log):
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"{name} was never called")
