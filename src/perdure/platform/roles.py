"""Which part of the platform a process plays, and what the settings must say for it."""

from typing import Literal

from perdure.errors import Invalid
from perdure.settings import Settings

Role = Literal["everything", "gateway", "worker"]
"""`everything` in one process (`perdure up`), or one of any number of gateways and workers that share servers."""
_SHARED = ("postgresql://", "postgres://", "postgresql+psycopg://")


def check(role: Role, settings: Settings) -> list[str]:
    """Warnings, one line each. Invalid with one sentence for the first setting without which the role cannot be played."""
    if role == "everything":
        return []
    command = "serve" if role == "gateway" else "worker"
    if settings.engine != "temporal":
        raise Invalid(
            f"`perdure {command}` needs a Temporal server for its runs, and the engine that is set is `embedded`.",
            hint="Set PERDURE_ENGINE=temporal and PERDURE_TEMPORAL_ADDRESS; on one machine `perdure up` needs neither.",
        )
    if not settings.database_url.startswith(_SHARED):
        what = "the one that is set is a file" if settings.database_url else "none is set"
        raise Invalid(
            f"`perdure {command}` needs a database that all processes share, and {what}.",
            hint="Set PERDURE_DATABASE_URL=postgresql://USER@HOST/NAME, and run `perdure migrate` once.",
        )
    if not settings.master_keys:
        raise Invalid(
            f"`perdure {command}` needs the keys for secrets at rest that all processes share, and none is set.",
            hint="Set PERDURE_MASTER_KEYS; `openssl rand -base64 32` makes one.",
        )
    return _warnings(role, settings)


def _warnings(role: Role, settings: Settings) -> list[str]:
    found = []
    if not settings.redis_url and role == "gateway":
        found.append(
            "Limits and idempotency keys count in each process by itself: set PERDURE_REDIS_URL to count them together."
        )
    if not settings.temporal_store:
        found.append(
            "Big values and published workflows are kept in the data directory of this machine: set "
            "PERDURE_TEMPORAL_STORE to a place that all processes share."
        )
    return found
