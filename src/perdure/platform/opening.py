"""The parts of one process, opened one after the other: which adapter stands behind a port is decided here, by settings alone."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perdure import __version__, wiring
from perdure.adapters.database import in_directory, open_database
from perdure.adapters.database_postgres import PostgresDatabase
from perdure.adapters.database_sqlite import SqliteDatabase
from perdure.adapters.file_spool import FileSpool
from perdure.adapters.memory_bus import MemoryBus
from perdure.adapters.memory_cache import MemoryCache
from perdure.adapters.memory_locks import MemoryLocks
from perdure.adapters.metrics import PrometheusMeters
from perdure.adapters.relay import Relay
from perdure.adapters.sealing import KeySealing, key_of_file, keys_from
from perdure.adapters.telemetry import spans
from perdure.adapters.tracing import TracedEngine, TracedFunction, Traces
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.tally import Tally
from perdure.errors import Invalid, Unavailable
from perdure.migrations import histories
from perdure.platform import edge, trust, working
from perdure.platform.brokers import broker
from perdure.platform.roles import Role
from perdure.platform.working import Work
from perdure.ports.bus import Bus, Exchange, Listener
from perdure.ports.cache import Cache
from perdure.ports.function import Function
from perdure.ports.locks import Locks
from perdure.ports.outlet import Outlet
from perdure.ports.spans import TRACEPARENT, Spans
from perdure.ports.spending import Later
from perdure.services.agents.service import Ground as AgentsGround
from perdure.services.agents.whole import Agents
from perdure.services.identity.keys import Keys
from perdure.services.identity.providers import Providers
from perdure.services.identity.service import Ground, Tenants
from perdure.services.identity.sessions import Sessions
from perdure.services.identity.tokens import Tokens
from perdure.services.identity.users import Passwords, Users
from perdure.services.identity.who import Who
from perdure.services.workflows.service import Ground as WorkflowsGround
from perdure.services.workflows.workflows import Workflows
from perdure.settings import Settings

_log = logging.getLogger("perdure.platform")
_AGAIN = 1.0
_LOOK, _LOOK_ALONE = 1.0, 5.0
"""Seconds between two looks at an outbox. Who is alone hears of all that is told, but not of what is sent anew from outside."""
Database = SqliteDatabase | PostgresDatabase
Subscription = tuple[str, Exchange, tuple[str, ...], Listener]


@dataclass
class Identity:
    """The identity service, built."""

    tenants: Tenants
    keys: Keys
    users: Users
    sessions: Sessions
    tokens: Tokens
    who: Who


class Opening:
    """Opens the parts one after the other; they close in the reverse order, however far it came."""

    def __init__(
        self, directory: Path, settings: Settings, stack: contextlib.AsyncExitStack, last: contextlib.AsyncExitStack
    ) -> None:
        self.directory = directory
        self.settings = settings
        self.stack = stack
        self.last = last
        """What closes after the engine: calls of runs that end meanwhile still say what they cost."""
        self.role: Role = "everything"
        self.spans: Spans = spans(settings.otlp_endpoint, version=__version__)
        self.traces = Traces()
        self.meters = PrometheusMeters(__version__)
        stack.callback(self.spans.close)

    @property
    def works(self) -> bool:
        """Whether what goes on by itself goes on here: schedules, questions, jobs, listeners, runs."""
        return self.role != "gateway"

    def traced(self, function: Function) -> Function:
        """The function with a span around each call, and the run's id on log lines meanwhile."""
        return TracedFunction(function, self.spans, self.traces, self.meters)

    async def prepare(self) -> None:
        """Bring files up to date; refuse a server that is behind."""
        if not self.settings.database_url:
            self.directory.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(histories.prepare, self._url)

    async def workflows(self, installation: wiring.Installation, sealing: KeySealing) -> tuple[Workflows, Database]:
        """The service, with its loops under way."""
        database = self.database("workflows")
        engine = installation.engine
        ground = WorkflowsGround(
            database=database,
            engine=TracedEngine(engine, self.spans, self.traces) if self.spans.on else engine,
            clock=installation.clock,
            sealing=sealing,
            functions=installation.table,
            resolve=installation.resolve,
        )
        service = Workflows(ground)
        if not self.works:
            return service, database
        await service.definitions.restore()
        self.task("schedules", service.firing.run)
        self.task("inbox", service.inbox.run)
        self.task("bulk", service.bulk.run)
        if isinstance(engine, EmbeddedEngine):
            self.task("what runs emit", functools.partial(service.listeners.follow, engine))
        return service, database

    async def agents(
        self, installation: wiring.Installation, cache: Cache, spending: Later, workflows: Workflows
    ) -> tuple[Agents, Database]:
        """The service, with its loop under way; from now on calls of runs are on somebody's account."""

        async def published(tenant: str, id: str, version: str | None) -> tuple[str, Any]:
            found = await workflows.definitions.startable(tenant, id, version)
            return found.version, found.document

        database = open_database(self._url, "agents", trace=TRACEPARENT.get)
        self.last.push_async_callback(database.close)
        engine = installation.engine
        ground = AgentsGround(
            database=database,
            engine=TracedEngine(engine, self.spans, self.traces) if self.spans.on else engine,
            cache=cache,
            clock=installation.clock,
            functions=installation.table,
            price=functools.lru_cache(1024)(functools.partial(edge.price, installation)),
            workflow=published,
            canonical=functools.partial(edge.canonical, installation),
            spool=None if self.settings.database_url else FileSpool(self.directory / "bills"),
        )
        service = Agents(ground, is_heard=self.role != "worker")
        self.last.push_async_callback(service.accounts.bills.close)
        await service.accounts.bills.restore()
        if self.works:
            await service.executions.sweep()  # before models are asked: who comes back misses nothing of what is said
            self.task("executions", service.executions.run)
        self.stack.push_async_callback(service.live.close)
        spending.hand(service.accounts)
        return service, database

    @property
    def _url(self) -> str:
        return self.settings.database_url or in_directory(self.directory)

    def database(self, service: str) -> Database:
        """The database of a service: its own file, or its own part of the server."""
        database = open_database(self._url, service, trace=TRACEPARENT.get)
        self.stack.push_async_callback(database.close)
        return database

    def sealing(self) -> KeySealing:
        """The keys of the settings, or the one of the data directory."""
        if self.settings.master_keys:
            return KeySealing(keys_from(self.settings.master_keys))
        if self.settings.database_url:
            raise Invalid(
                "Secrets at rest need a key that all processes share.",
                hint="Set PERDURE_MASTER_KEYS; `openssl rand -base64 32` makes one.",
            )
        return KeySealing((key_of_file(self.directory / "master.key"),))

    def cache(self, clock: Any) -> Cache:
        if self.settings.redis_url:
            from perdure.adapters.redis_cache import RedisCache  # an extra, and slow to import

            cache: Cache = RedisCache(self.settings.redis_url)
        else:
            cache = MemoryCache(clock)
        self.last.push_async_callback(cache.close)
        return cache

    def locks(self, clock: Any) -> Locks:
        if self.settings.redis_url:
            from perdure.adapters.redis_locks import RedisLocks  # an extra, and slow to import

            locks: Locks = RedisLocks(self.settings.redis_url)
        else:
            locks = MemoryLocks(clock)
        self.stack.push_async_callback(locks.close)
        return locks

    def bus(self, clock: Any, database: Database) -> Bus:
        bus: Bus
        if self.settings.bus_url:
            bus = broker(self.settings.bus_url)
        else:
            bus = MemoryBus(clock=clock, database=database)
        self.stack.push_async_callback(bus.close)
        return bus

    async def connect(self, bus: Bus, subscriptions: list[Subscription], databases: list[Database], clock: Any) -> None:
        """Hear of others, or see that what is for them is kept; only then publish what the services tell. While the broker is
        away the process goes on without, and all this is done when it comes."""
        left = list(subscriptions)

        async def connected() -> None:
            while left:
                name, exchange, types, listener = left[0]
                if self.works:
                    await bus.subscribe(name, exchange, types, listener)
                else:
                    await bus.keep(name, exchange, types)
                left.pop(0)
            for database in databases:
                await self.relay(database, bus, clock)

        async def later() -> None:
            while left:
                await asyncio.sleep(_AGAIN)
                with contextlib.suppress(Unavailable):
                    await connected()

        try:
            await connected()
        except Unavailable:  # it is said where all is said that a process begins without
            self.stack.push_async_callback(_ended, asyncio.create_task(later(), name="subscriptions"))

    async def relay(self, database: Database, bus: Bus, clock: Any) -> None:
        """Begin to publish what a service tells. A bus inside the process reaches only those who listen in it."""
        if not self.works and isinstance(bus, MemoryBus):
            return
        shared, inside = bool(self.settings.database_url), isinstance(bus, MemoryBus)
        relay = Relay(
            database, bus, "workflow.events", clock=clock, poll=_LOOK if shared else _LOOK_ALONE, alone=not shared,
            others=shared and inside,
        )  # fmt: skip
        await relay.open()
        self.stack.push_async_callback(relay.close)

    def task(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Work that goes on for ever. When it fails it is said, and begun again."""
        running = asyncio.create_task(_for_ever(name, work), name=name)
        self.stack.push_async_callback(_ended, running)

    async def identity(self, clock: Any, sealing: KeySealing, fetch: Any) -> tuple[Identity, Database]:
        settings = self.settings
        database = self.database("identity")
        ground = Ground(database=database, clock=clock, sealing=sealing, home=settings.tenant)
        passwords = Passwords()
        tenants, keys, users = Tenants(ground), Keys(ground), Users(ground, passwords)
        tokens = Tokens(ground, settings.public_url or "urn:perdure")
        sessions = Sessions(ground, passwords, users, tokens)
        who = Who(keys, sessions, tokens, Providers(trust.providers(settings.oidc), fetch, clock))
        if self.works:
            self.task("sessions", sessions.sweep)
        return Identity(tenants, keys, users, sessions, tokens, who), database

    def standing(self, engine: Any) -> None:
        """Tell how many runs there are; what began and ended is told where runs are worked on."""
        if isinstance(engine, EmbeddedEngine):
            self.meters.watch("perdure_runs", engine.tally.open)
            self.count(engine.tally)
        else:
            self.meters.watch("perdure_runs", engine.standing.open)

    def count(self, tally: Tally) -> None:
        self.meters.watch("perdure_runs_began_total", lambda: tally.began_total)
        self.meters.watch("perdure_runs_ended_total", tally.ended)

    async def temporal(self, installation: wiring.Installation, tenants: Tenants, work: Work, outlet: Outlet) -> None:
        """Begin to work on the queues of a Temporal server, if there is one; it ends first, when calls have finished."""
        engine = installation.engine
        if isinstance(engine, EmbeddedEngine):
            return
        clock = installation.clock
        self.task(
            "sweep", functools.partial(working.sweep, engine, tenants, self.locks(clock), clock, self.settings.tenant)
        )
        worker = wiring.temporal_worker(
            installation, self.directory, self.settings, queues=work.queues, calls=work.calls, drain=work.drain,
            outlet=outlet,
        )  # fmt: skip
        self.count(worker.tally)
        await worker.open()
        self.stack.push_async_callback(worker.close)


async def _for_ever(name: str, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - one trouble must not end the work for ever
            _log.exception("%s failed and begins again", name)
        await asyncio.sleep(_AGAIN)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
