"""The cache on Valkey or Redis, for several processes."""

from perdure.adapters.redis_connection import PREFIX, connect, reaching

_ADD = """
local total = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return total
"""


class RedisCache:
    """Implements `ports/cache.py`. A count whose answer was lost is Unavailable, and is not made again here."""

    def __init__(self, url: str) -> None:
        self._client = connect(url)
        self._add = self._client.register_script(_ADD)

    def __repr__(self) -> str:
        return "RedisCache()"

    async def get(self, key: str) -> bytes | None:
        with reaching():
            value = await self._client.get(PREFIX + key)
        return value.encode() if isinstance(value, str) else value

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        with reaching():
            await self._client.set(PREFIX + key, value, px=milliseconds(ttl))

    async def put_new(self, key: str, value: bytes, ttl: float) -> bool:
        with reaching():
            return await self._client.set(PREFIX + key, value, px=milliseconds(ttl), nx=True) is not None

    async def delete(self, key: str) -> None:
        with reaching():
            await self._client.delete(PREFIX + key)

    async def add(self, key: str, amount: int, ttl: float) -> int:
        with reaching():
            return int(await self._add(keys=[PREFIX + key], args=[amount, milliseconds(ttl)]))

    async def close(self) -> None:
        await self._client.aclose()


def milliseconds(ttl: float) -> int:
    return max(1, round(ttl * 1000))
