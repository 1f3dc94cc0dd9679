"""A world in which chance is the seed's: event loop, clock, disk, network, operators and power.

The engine is the real one and so is its journal; only what surrounds them is simulated. The loop runs what is ready in a
seeded order and lets virtual time pass when nothing is. The same seed gives the same journal, byte for byte.
"""

import asyncio
import contextlib
import hashlib
import random
import shutil
from collections import Counter
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import apsw

from perdure.adapters.clock import TestClock
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.journal import Journal
from perdure.engines.embedded.records import Tuning
from perdure.errors import Conflict, NotFound, PerdureError, Unavailable
from perdure.interpreter import handles
from perdure.interpreter.faults import problem
from perdure.language.read import read
from perdure.ports.function import Context, Effect, FunctionFault
from tests.system.weak_disk import WeakDisk

TENANT = "acme"
WAIT = 600
TURNS = 300_000
TRY = (
    "\n    try:\n      - do: {call: effect, with: {label: '${ \"\\($workflow.input.n)/LABEL\" }'}}"
    "\n    catch: {errors: {with: {status: 503}}, retry: {delay: {seconds: 3}, limit: {attempt: {count: 60}}}}"
)
CHILD = "document: {dsl: 1.0.3, namespace: test, name: child, version: 1.0.0}\ndo:\n- c:" + TRY.replace(
    "LABEL", "child"
)
PARENT = (
    "document: {dsl: 1.0.3, namespace: test, name: parent, version: 1.0.0}\ndo:\n"
    + "".join(f"- s{n}:{TRY.replace('LABEL', f's{n}')}\n" for n in range(2))
    + r"""
- money:
    try:
      - charge: {call: charge, with: {label: '${ "\($workflow.input.n)/charge" }'}}
    catch: {errors: {with: {title: outcome unknown}}}
- look: {call: look, with: {label: first}}
- again: {call: look, with: {label: '${ . }'}}
- saw:
    try:
      - do: {call: effect, with: {label: '${ "\($workflow.input.n)/saw:\(.)" }'}}
    catch: {errors: {with: {status: 503}}, retry: {delay: {seconds: 3}, limit: {attempt: {count: 60}}}}
- before: {call: stamp, with: {label: '${ "\($workflow.input.n)/before" }'}}
- nap: {wait: {seconds: 600}}
- after: {call: stamp, with: {label: '${ "\($workflow.input.n)/after" }'}}
- loop:
    for: {each: i, in: '${ [range(3)] }'}
    do:
      - step:
"""
    + TRY.replace("\n", "\n      ").replace("LABEL", "loop/\\($i)").lstrip("\n")
    + "\n- branches:\n    fork:\n      branches:\n"
    + "".join(f"        - b{n}:{TRY.replace(chr(10), chr(10) + ' ' * 8).replace('LABEL', f'b{n}')}\n" for n in range(3))
    + r"""
- tell: {emit: {event: {with: {source: 'https://test.example/', type: told, data: {n: '${ $workflow.input.n }'}}}}}
- hear:
    listen:
      to:
        all:
          - {with: {type: told}, correlate: {n: {from: '${ .data.n }', expect: '${ $workflow.input.n }'}}}
          - {with: {type: go}, correlate: {n: {from: '${ .data.n }', expect: '${ $workflow.input.n }'}}}
- child: {run: {workflow: {namespace: test, name: child, version: 1.0.0, input: {n: '${ $workflow.input.n }'}}}}
- done: {set: {done: '${ $workflow.input.n }'}}
"""
)
LABELS = ["s0", "s1", "saw", "loop/0", "loop/1", "loop/2", "b0", "b1", "b2", "child"]


EFFECTS: dict[str, Effect] = {"effect": "idempotent", "charge": "unsafe", "stamp": "idempotent", "look": "read"}


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Ready callbacks run in a seeded order; when there are none, virtual time passes."""

    def __init__(self, chance: random.Random, clock: TestClock) -> None:
        super().__init__()
        self._chance = chance
        self._clock = clock
        self.faults: Counter[str] = Counter()
        self._turns = 0

    def _run_once(self) -> None:
        self._turns += 1
        assert self._turns < TURNS, "the world goes round and round"
        if not self._ready and not self._scheduled and not self._stopping:
            remaining = self._clock.next_wake()
            assert remaining is not None, "everybody waits for somebody: a deadlock"
            self._clock.advance(remaining)
        if len(self._ready) > 1:
            waiting = list(self._ready)
            self._chance.shuffle(waiting)
            if waiting != list(self._ready):
                self.faults["reordered"] += 1
            self._ready.clear()
            self._ready.extend(waiting)
        super()._run_once()


class Simulation:
    """One seed: runs, faults, and what must hold at the end."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)
        self.folder = folder
        self.clock = TestClock()
        self.faults: Counter[str] = Counter()
        self.effects: dict[str, str] = {}
        self.charges: Counter[str] = Counter()
        self.looks: dict[str, int] = {}
        self.stamps: dict[str, tuple[int, float]] = {}
        self.generation = 0
        self.crashed = asyncio.Event()
        self.crashes_left = self.chance.choice((0, 1, 1, 2, 3))
        self.runs = self.chance.choice((1, 2))
        self.started = self.clock.monotonic()
        self.tuning = Tuning(
            commit="inline",
            calls=self.chance.choice((1, 2, 50)),
            timers=self.chance.choice((1, 100)),
            idle=self.chance.choice((0.0, 1.0, 1000.0)),
            evict=self.chance.choice(("idle", "idle", "step", "replay")),
            snapshot_every=self.chance.choice((1, 5, 100)),
            resident=self.chance.choice((1, 100)),
            retention=10**12,
        )

    def happens(self, kind: str, probability: float) -> bool:
        """Whether a fault of this kind happens here and now."""
        if self.chance.random() < probability:
            self.faults[kind] += 1
            return True
        return False

    async def run(self) -> str:
        """Everything until all runs have ended; the hash of the journal."""
        documents = read(PARENT).value, read(CHILD).value
        while True:
            engine, disk = await self._open()
            disturbing = asyncio.ensure_future(self._disturb(engine))
            working = asyncio.ensure_future(self._work(engine, documents))
            crash = asyncio.ensure_future(self.crashed.wait())
            await asyncio.wait((working, crash), return_when=asyncio.FIRST_COMPLETED)
            disk.quiet()
            over = not self.crashed.is_set()
            for task in (disturbing, crash) if over else (disturbing, crash, working):
                task.cancel()
            await asyncio.gather(disturbing, crash, working, return_exceptions=True)
            if over:
                working.result()
                await self._check(engine)
            await engine.close()
            if over:
                return self._hash()
            self.crashed.clear()

    async def _open(self) -> tuple[EmbeddedEngine, "SimulatedDisk"]:
        disk = SimulatedDisk(self)
        place = self.folder / str(self.generation)
        engine = EmbeddedEngine(place, Functions(self), clock=self.clock, tuning=self.tuning, vfs=disk.name)
        await engine.open()
        disk.arm(place)
        if self.happens("second process", 0.2):
            with contextlib.suppress(Conflict):
                Journal(place)
                raise AssertionError("two processes on one journal")
        answer = engine._calls._answer

        def answered(key: int, event: Any) -> None:
            answer(key, event)
            if self.happens("duplicate answer", 0.05):
                answer(key, event)

        engine._calls._answer = answered
        return engine, disk

    async def _work(self, engine: EmbeddedEngine, documents: tuple[Any, Any]) -> None:
        await self._insist(engine.publish, TENANT, documents[1], {})
        for number in range(self.runs):
            await self._insist(engine.start, TENANT, documents[0], {"n": number}, run=f"r{number}")
        for number in range(self.runs):
            event = {
                "specversion": "1.0",
                "type": "go",
                "source": "https://outside.example/",
                "id": str(number),
                "data": {"n": number},
            }
            await self.clock.sleep(self.chance.uniform(0, 1500))
            for _ in range(1 + self.happens("duplicate event", 0.3)):
                await self._insist(engine.deliver, TENANT, event)
        for number in range(self.runs):
            while (await engine.wait(TENANT, f"r{number}")).status == "pending":
                pass

    async def _insist(self, verb: Any, *values: Any, **more: Any) -> None:
        while True:
            try:
                await verb(*values, **more)
                return
            except Unavailable:
                await self.clock.sleep(1)

    async def _disturb(self, engine: EmbeddedEngine) -> None:
        while True:
            await self.clock.sleep(self.chance.uniform(1, 400))
            if self.happens("clock jump", 0.3):
                self.clock.jump(self.chance.choice((-86_400, -3600, -5, 5, 3600, 86_400)))
            if self.happens("suspended", 0.15):
                run = f"r{self.chance.randrange(self.runs)}"
                with contextlib.suppress(PerdureError):
                    await engine.suspend(TENANT, run)
                await self.clock.sleep(self.chance.uniform(0, 100))
                await self._insist(self._resume, engine, run)

    async def _resume(self, engine: EmbeddedEngine, run: str) -> None:
        with contextlib.suppress(Conflict, NotFound):
            await engine.resume(TENANT, run)

    async def _check(self, engine: EmbeddedEngine) -> None:
        for number in range(self.runs):
            run = await engine.describe(TENANT, f"r{number}")
            assert (run.status, run.output) == ("completed", {"done": number}), run
            entries = await engine.history(TENANT, f"r{number}")
            assert entries[-1].type == "workflow.completed.v1"
        expected = {f"{number}/{label}" for number in range(self.runs) for label in LABELS}
        done = Counter(label.partition(":")[0] for label in self.effects.values())
        assert set(done) == expected, set(done) ^ expected
        assert set(done.values()) == {1}, "an effect was repeated"
        assert all(count <= 1 for count in self.charges.values()), "an unsafe call was repeated"

    def _hash(self) -> str:
        digest = hashlib.sha256()
        file = apsw.Connection(str(self.folder / str(self.generation) / "journal.db"))
        for table in ("runs", "journal", "events"):
            for row in file.execute(f"SELECT * FROM {table} ORDER BY 1"):
                digest.update(repr(row).encode())
        file.close()
        return digest.hexdigest()


class SimulatedDisk(WeakDisk):
    """A weak disk that loses power and fills up when the seed says so."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__()
        self._simulation = simulation
        self._full_for = 0

    def arm(self, place: Path) -> None:
        self._place = place
        self.on_write = self._maybe_full
        self.after = self._maybe_crash

    def quiet(self) -> None:
        self.on_write = lambda path: None
        self.after = lambda: None

    def _maybe_full(self, path: str) -> None:
        simulation = self._simulation
        if self._full_for == 0 and simulation.happens("disk full", 0.004):
            self._full_for = simulation.chance.choice((1, 3, 10))
        if self._full_for > 0:
            self._full_for -= 1
            raise apsw.FullError("no space left")

    def _maybe_crash(self) -> None:
        simulation = self._simulation
        if simulation.crashes_left > 0 and simulation.happens("power loss", 0.01):
            simulation.crashes_left -= 1
            simulation.generation += 1
            self.image(self._place, simulation.folder / str(simulation.generation), simulation.chance)
            self.quiet()
            simulation.crashed.set()


class Functions:
    """The network: slow, failing before or after the effect, and gone when its process is."""

    def __init__(self, simulation: Simulation) -> None:
        self._functions = {name: SimulatedFunction(name, simulation) for name in EFFECTS}

    def get(self, name: str, version: str | None) -> "SimulatedFunction":
        return self._functions[name]

    def names(self) -> list[str]:
        return list(self._functions)

    def schema_of(self, name: str, version: str | None) -> dict[str, Any] | None:
        return {} if name in self._functions else None


class SimulatedFunction:
    """One effect of the simulated network, of one generation of the process."""

    version, summary = "1.0.0", "simulated"
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] = {}

    def __init__(self, name: str, simulation: Simulation) -> None:
        self.name = name
        self.effect = EFFECTS[name]
        self._world = simulation
        self._generation = simulation.generation

    def effect_of(self, arguments: Any, resources: dict[str, Any]) -> Any:
        return self.effect

    async def execute(self, arguments: Any, context: Context) -> Any:
        world, label = self._world, handles.resolve(arguments, context.secret)["label"]
        if self.name == "look":
            return await self._look(label, context.key)
        await self._travel()
        if self.name == "charge":
            world.charges[context.key] += 1
        elif self.name == "stamp":
            self._stamp(label)
        else:
            if world.happens("unreachable", 0.05):
                raise FunctionFault(problem("communication", status=503, detail="nobody there"), "unknown")
            if context.key not in world.effects and world.happens("refused", 0.05):
                raise FunctionFault(problem("communication", status=503, detail="refused"))
            assert world.effects.setdefault(context.key, label) == label, "two effects under one key"
        await self._travel()
        if self.name == "effect" and world.happens("answer lost", 0.05):
            raise FunctionFault(problem("communication", status=503, detail="connection lost"), "unknown")
        return None

    async def _look(self, label: str, key: str) -> str:
        """Something else each time. It is begun before the disk has what asked for it, so power may make it forgotten."""
        world = self._world
        if world.chance.random() < 0.5:
            await self._travel()
        if world.looks.setdefault(key, self._generation) != self._generation:
            world.faults["forgotten look"] += 1
            world.looks[key] = self._generation
        return f"{label},{world.chance.randrange(10**9)}"

    def _stamp(self, label: str) -> None:
        world, (run, _, which) = self._world, label.partition("/")
        if which == "after":
            generation, began = world.stamps.get(f"{run}/before", (-1, 0.0))
            if generation == world.generation:
                assert world.clock.monotonic() - began >= WAIT - 1e-6, "a timer fired early"
        else:
            world.stamps[label] = (world.generation, world.clock.monotonic())

    async def _travel(self) -> None:
        if self._world.happens("delay", 0.2):
            await self._world.clock.sleep(self._world.chance.uniform(0, 60))
        else:
            await asyncio.sleep(0)
        if self._generation != self._world.generation:
            await asyncio.Event().wait()


def simulate(seed: int, folder: Path) -> tuple[str, Counter[str], float]:
    """Run a seed: the journal's hash, the faults by kind, and the virtual seconds that passed."""
    shutil.rmtree(folder, ignore_errors=True)
    simulation = Simulation(seed, folder)
    loop = SimulatedLoop(simulation.chance, simulation.clock)
    try:
        hash = loop.run_until_complete(_named(simulation.run()))
    finally:
        loop.close()
    shutil.rmtree(folder, ignore_errors=True)
    return hash, simulation.faults + loop.faults, simulation.clock.monotonic() - simulation.started


def simulate_all(seeds: Sequence[int], folder: Path) -> tuple[Counter[str], float]:
    """One seed after the other: the faults by kind, and the virtual seconds."""
    faults: Counter[str] = Counter()
    virtual = 0.0
    for seed in seeds:
        try:
            hash, met, passed = simulate(seed, folder)
            if seed % 20 == 0:
                assert simulate(seed, folder)[0] == hash, "the same seed gave another journal"
        except BaseException as error:
            raise AssertionError(f"seed {seed}: PERDURE_SEED={seed} runs it alone") from error
        faults += met
        virtual += passed
    return faults, virtual


async def _named(work: Coroutine[Any, Any, str]) -> str:
    return await work
