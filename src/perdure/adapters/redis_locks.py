"""Leases on Valkey or Redis, for several processes.

Each verb is one script, so nothing comes between its reading and its writing. A token is the greater of the last one
plus one and the server's time: it grows even when the server has lost its data.
"""

from perdure.adapters.redis_cache import milliseconds
from perdure.adapters.redis_connection import PREFIX, connect, reaching

_LEASE = """
local held = redis.call('HMGET', KEYS[1], 'holder', 'token')
if held[1] and held[1] ~= ARGV[1] then return false end
local now = redis.call('TIME')
local token = math.max(now[1] * 1000 + math.floor(now[2] / 1000), tonumber(redis.call('GET', KEYS[2]) or '0') + 1)
redis.call('SET', KEYS[2], string.format('%.0f', token), 'PX', 604800000)
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'token', string.format('%.0f', token))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return string.format('%.0f', token)
"""
_RENEW = """
local held = redis.call('HMGET', KEYS[1], 'holder', 'token')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
"""
_RELEASE = """
local held = redis.call('HMGET', KEYS[1], 'holder', 'token')
if held[1] == ARGV[1] and held[2] == ARGV[2] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class RedisLocks:
    """Implements `ports/locks.py`."""

    def __init__(self, url: str) -> None:
        self._client = connect(url)
        self._lease = self._client.register_script(_LEASE)
        self._renew = self._client.register_script(_RENEW)
        self._release = self._client.register_script(_RELEASE)

    def __repr__(self) -> str:
        return "RedisLocks()"

    async def lease(self, name: str, holder: str, ttl: float) -> int | None:
        with reaching():
            token = await self._lease(keys=_keys(name), args=[holder, milliseconds(ttl)])
            return None if token is None else int(token)

    async def renew(self, name: str, holder: str, token: int, ttl: float) -> bool:
        with reaching():
            return bool(await self._renew(keys=_keys(name), args=[holder, token, milliseconds(ttl)]))

    async def release(self, name: str, holder: str, token: int) -> None:
        with reaching():
            await self._release(keys=_keys(name), args=[holder, token])

    async def close(self) -> None:
        await self._client.aclose()


def _keys(name: str) -> list[str]:
    """The lease and its last token; the braces keep both on one node of a cluster."""
    return [f"{PREFIX}lease:{{{name}}}", f"{PREFIX}token:{{{name}}}"]
