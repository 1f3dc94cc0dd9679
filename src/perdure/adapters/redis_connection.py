"""How Valkey or Redis is reached: one client, and its errors as ours."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from perdure.errors import Invalid, Unavailable, extra, reason

if TYPE_CHECKING:
    from redis.asyncio import Redis

PREFIX = "perdure:"
_SECONDS = 5.0


def connect(url: str) -> "Redis":
    """A client; it connects at the first command. Invalid for an address that is none, or without the library."""
    with extra("redis", "Valkey or Redis"):  # heavy, and installed only with the extra
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=32,
            timeout=_SECONDS,
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            health_check_interval=15,
            retry=Retry(NoBackoff(), 0),  # a count that was sent may have been taken: only the caller knows what to do
        )
    except ValueError:
        raise Invalid(
            "The address of Valkey or Redis cannot be read.", hint="Write redis://HOST:PORT/0 or rediss://…"
        ) from None
    client: Redis = Redis.from_pool(pool)
    return client


@contextlib.contextmanager
def reaching() -> Iterator[None]:
    """Errors of the library as ours."""
    from redis.exceptions import RedisError  # loaded by `connect`

    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable(f"Valkey or Redis cannot be reached: {reason(error)}.") from error
