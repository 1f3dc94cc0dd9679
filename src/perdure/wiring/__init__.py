"""The composition root: it alone knows concrete classes, with `calls.py` for what documents call.

It builds the parts from settings and hands them to one another; it decides nothing while a run goes on.
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from perdure.adapters.clock import SystemClock
from perdure.adapters.egress import HttpEgress
from perdure.adapters.secrets_environment import EnvironmentSecrets
from perdure.adapters.secrets_file import FileSecrets
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.spool import Spool
from perdure.engines.embedded.views import Reader
from perdure.errors import Invalid, extra
from perdure.functions.resolve import resolve
from perdure.functions.table import Table
from perdure.language.values import Json
from perdure.ports.blobs import Blobs
from perdure.ports.clock import Clock
from perdure.ports.function import Function
from perdure.ports.outlet import Outlet
from perdure.ports.secrets import Secrets
from perdure.ports.spending import Spending
from perdure.settings import Settings

if TYPE_CHECKING:
    from perdure.adapters.model_catalog import ModelCatalog
    from perdure.engines.temporal.engine import TemporalEngine
    from perdure.engines.temporal.worker import TemporalWorker
    from perdure.ports.guardrails import Guardrails
    from perdure.wiring.calls import Calls

_LOOK_EVERY = 1.0
"""Seconds between two looks for events that others sent."""


class Catalog:
    """What documents can call, and the models behind it: built at the first question, for most of what a process can
    import is in there, and a document that calls nothing needs none of it."""

    def __init__(self, build: Callable[[], "Calls"]) -> None:
        self._build = build

    @functools.cached_property
    def calls(self) -> "Calls":
        return self._build()

    def __iter__(self) -> Iterator[Function]:
        return iter(self.calls.functions)

    async def close(self) -> None:
        """Nothing is built for it."""
        if "calls" in vars(self):
            await self.calls.to_models.close()


class Installation:
    """Everything one process needs to run documents."""

    def __init__(
        self,
        engine: "EmbeddedEngine | TemporalEngine",
        table: Table,
        spool: Spool,
        egress: HttpEgress,
        catalog: Catalog,
    ) -> None:
        self.engine = engine
        self.table = table
        self._spool = spool
        self.clock: Clock = SystemClock()
        self.secrets: Secrets | None = None
        self._egress = egress
        self._catalog = catalog
        self.warnings: list[str] = []
        """One line each for whoever started the process."""

    def __repr__(self) -> str:
        return f"Installation({self.engine!r})"

    @property
    def models(self) -> "ModelCatalog":
        """All models by name."""
        return self._catalog.calls.models

    @property
    def guardrails(self) -> "Guardrails | None":
        """The rules about what models are asked and answer, where there are some."""
        return self._catalog.calls.guardrails

    @contextlib.asynccontextmanager
    async def open(self, *, drive: bool = True) -> AsyncIterator[None]:
        """Open the journal, or reach the server. Interrupted runs of a journal go on with `drive`; else only those that
        are asked for."""
        if isinstance(self.engine, EmbeddedEngine):
            await self.engine.open(recover=drive)
        else:
            await self.engine.open()
        closing = asyncio.Event()
        taking = asyncio.ensure_future(self._take_events(closing))
        try:
            yield
        finally:
            closing.set()
            await asyncio.wait(
                [taking], timeout=_LOOK_EVERY
            )  # an event under way is finished, unless the disk is stuck
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            await self.engine.close()
            await self._egress.close()
            await self._catalog.close()

    async def _take_events(self, closing: asyncio.Event) -> None:
        """Take in what other processes send, while the journal is open."""
        while isinstance(self.engine, EmbeddedEngine) and not closing.is_set():
            await self._spool.take(self.engine.deliver)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), _LOOK_EVERY)

    async def resolve(self, document: Json) -> dict[str, Json]:
        """The outside documents that a document names by fixed addresses, to be pinned with it."""
        return await resolve(document, self._egress)


def installation(
    directory: Path,
    settings: Settings,
    *,
    modules: Iterable[str] = (),
    secrets_file: str | None = None,
    environ: Mapping[str, str] | None = None,
    spending: Spending | None = None,
    has_outlet: bool = False,
) -> Installation:
    """The engine that the settings name, not open yet. `has_outlet`: around it is a platform, which takes what runs emit.

    `environ` is looked through for secrets only; those of a file come first. `spending` is asked before each request to
    a model; nobody counts without it. Invalid when a part cannot be built.
    """
    clock = SystemClock()
    egress = _egress(settings.egress_allow)
    secrets: EnvironmentSecrets | FileSecrets = EnvironmentSecrets(environ or {})
    if secrets_file or settings.secrets:
        secrets = FileSecrets(Path(secrets_file or settings.secrets).expanduser(), secrets)
    named = (*settings.functions, *modules)

    def build() -> "Calls":
        from perdure.wiring.calls import Around, build  # heavy: HTTP, models, functions of installed packages

        return build(Around(directory, settings, clock, environ or {}, secrets, egress, _egress), named, spending)

    catalog = Catalog(build)
    table = Table(catalog)
    if named or settings.models or settings.model_url or settings.guardrails:
        table.names()  # a mistake in what somebody set is told before anything begins
    engine = (
        temporal_engine(directory, settings, table, has_outlet=has_outlet)
        if settings.engine == "temporal"
        else EmbeddedEngine(directory, table, clock=clock, secrets=secrets)
    )
    made = Installation(engine, table, Spool(directory), egress, catalog)
    made.secrets = secrets
    if isinstance(secrets, FileSecrets) and secrets.warning:
        made.warnings.append(secrets.warning)
    return made


def temporal_engine(directory: Path, settings: Settings, table: Table, *, has_outlet: bool = False) -> "TemporalEngine":
    """The client of a Temporal server. With a database that processes share, runs that begin at a shell belong to the platform
    too. Invalid when its libraries are not installed."""
    with extra("temporal", "The engine `temporal`"):  # heavy, and installed only with the extra
        from perdure.engines.temporal.connection import Address
        from perdure.engines.temporal.engine import TemporalEngine
        from perdure.engines.temporal.protocol import Limits
    address = Address(
        target=settings.temporal_address,
        namespace=settings.temporal_namespace,
        tls=settings.temporal_tls,
        ca=settings.temporal_ca,
        certificate=settings.temporal_certificate,
        private_key=settings.temporal_private_key,
        api_key=settings.temporal_api_key,
    )
    return TemporalEngine(
        address,
        table,
        store(directory, settings),
        installation=settings.temporal_installation,
        keys=settings.temporal_keys,
        limits=Limits(
            heartbeat=settings.temporal_heartbeat,
            calls=settings.temporal_calls,
            open_days=settings.temporal_open_days,
        ),
        has_outlet=has_outlet or bool(settings.database_url),
    )


def temporal_worker(
    installation: Installation,
    directory: Path,
    settings: Settings,
    *,
    queues: Sequence[str],
    calls: int,
    drain: float,
    outlet: Outlet | None = None,
) -> "TemporalWorker":
    """A worker on the connection of an installation that is open. Invalid for a queue that does not exist."""
    from perdure.engines.temporal.engine import TemporalEngine  # as above
    from perdure.engines.temporal.worker import TemporalWorker

    assert isinstance(installation.engine, TemporalEngine)
    installation.table.names()  # built before the first call comes
    return TemporalWorker(
        installation.engine.client,
        settings.temporal_installation,
        store(directory, settings),
        installation.table,
        clock=installation.clock,
        secrets=installation.secrets,
        queues=queues,
        calls=calls,
        drain=drain,
        outlet=outlet,
    )


def store(directory: Path, settings: Settings) -> Blobs:
    """Where values too big for a server are kept. Invalid when the library for S3 is not installed."""
    chosen = settings.temporal_store
    if chosen.startswith("s3:"):
        from perdure.adapters.blobs_s3 import Bucket, S3Blobs  # its library is heavy

        bucket = Bucket(
            place=chosen,
            endpoint=settings.s3_endpoint,
            region=settings.s3_region,
            access_key=settings.s3_access_key,
            secret_key=settings.s3_secret_key,
            ca=settings.s3_ca,
        )
        return S3Blobs(bucket)
    from perdure.adapters.blobs_directory import DirectoryBlobs  # for a Temporal server only, as the one above

    return DirectoryBlobs(Path(chosen).expanduser() if chosen else directory / "temporal")


def table(settings: Settings, *, modules: Iterable[str] = ()) -> Table:
    """The functions that a document can call, for those who only check or list."""
    return installation(Path(), msgspec.structs.replace(settings, engine="embedded", secrets=""), modules=modules).table


def reader(directory: Path, settings: Settings, *, modules: Iterable[str] = ()) -> Reader:
    """A look at the journal of a directory, also while another process works there."""
    return Reader(directory, table(settings, modules=modules))


def _egress(allow: Iterable[str]) -> HttpEgress:
    try:
        return HttpEgress(allow)
    except ValueError as error:
        raise Invalid(f"{error}", hint="See docs/operate.md for what may be permitted.") from None
