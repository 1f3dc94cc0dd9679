"""What must work for a process to take requests, and what is only watched, each by its name."""

import functools
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.errors import Unavailable
from perdure.gateway.health import Check
from perdure.platform.brokers import Broker
from perdure.ports.bus import Bus
from perdure.ports.cache import Cache
from perdure.ports.database import EVERY, Database

if TYPE_CHECKING:
    from perdure.engines.temporal.engine import TemporalEngine

_PATIENCE = timedelta(seconds=2)


def needed(engine: "EmbeddedEngine | TemporalEngine", databases: Mapping[str, Database]) -> dict[str, Check]:
    """Without these no request can be answered."""
    found: dict[str, Check] = {"engine": functools.partial(_engine, engine)}
    for service, database in databases.items():
        found[f"database {service}"] = functools.partial(_database, database)
    return found


def watched(cache: Cache, bus: Bus) -> dict[str, Check]:
    """Without these less is promised, but everything goes on: limits are not counted, events wait in the outbox."""
    found: dict[str, Check] = {"cache": functools.partial(_cache, cache)}
    if isinstance(bus, Broker):
        found["broker"] = bus.check
    return found


async def _engine(engine: "EmbeddedEngine | TemporalEngine") -> None:
    if isinstance(engine, EmbeddedEngine):
        if engine.stalled is not None:
            raise Unavailable(engine.stalled)
    elif not await engine.client.service_client.check_health(timeout=_PATIENCE):
        raise Unavailable("The Temporal server is not well.")


async def _database(database: Database) -> None:
    await database.read(EVERY, lambda connection: connection.exec_driver_sql("SELECT 1").scalar())


async def _cache(cache: Cache) -> None:
    await cache.get("ready")
