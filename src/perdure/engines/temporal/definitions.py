"""Published workflows: by tenant, namespace, name and version, in the place for big values."""

import re
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from perdure.engines.temporal.codec import Codec
from perdure.errors import Conflict, NotFound
from perdure.ports.blobs import Blobs

_number = re.compile(r"\d+|\D+")


class Definitions:
    """Reads and writes published workflows. A version is written once."""

    def __init__(self, blobs: Blobs, codec: Codec) -> None:
        """`codec` seals them where there is a key."""
        self._blobs = blobs
        self._codec = codec

    def __repr__(self) -> str:
        return f"Definitions({self._blobs!r})"

    async def publish(self, tenant: str, identity: tuple[str, str, str], definition: dict[str, Any]) -> None:
        """Conflict when the version exists with another content."""
        body = msgspec.json.encode(definition, order="sorted")
        name = _name(tenant, *identity)
        if not await self._blobs.put(name, self._codec.shut(name, body)) and await self._get(name) != body:
            namespace, name, version = identity
            raise Conflict(
                f"{namespace}.{name}:{version} is published with another content.",
                hint="Give the document a new version.",
            )

    async def find(self, tenant: str, identity: tuple[str, str, str]) -> dict[str, Any]:
        """Document and resources; version `latest` is the highest. NotFound says what there is."""
        namespace, name, version = identity
        wanted = version
        if version == "latest":
            versions = await self._versions(tenant, namespace, name)
            wanted = max(versions, key=order, default=version)
        body = await self._get(_name(tenant, namespace, name, wanted))
        if body is not None:
            found: dict[str, Any] = msgspec.json.decode(body)
            return found
        versions = sorted(await self._versions(tenant, namespace, name), key=order)
        known = f"Published versions: {', '.join(versions)}." if versions else "Publish it first."
        raise NotFound(f"There is no published workflow {namespace}.{name}:{version}.", hint=known)

    async def _get(self, name: str) -> bytes | None:
        stored = await self._blobs.get(name)
        return None if stored is None else self._codec.opened(name, stored)

    async def _versions(self, tenant: str, namespace: str, name: str) -> list[str]:
        return [unquote(version)[1:] for version in await self._blobs.names(_name(tenant, namespace, name))]


def _name(tenant: str, *parts: str) -> str:
    # The sign in front keeps a part from beginning with a dot.
    return "/".join(("published", *(quote(f"~{part}", safe="") for part in (tenant, *parts))))


def order(version: str) -> tuple[list[tuple[int, str]], bool, list[tuple[int, str]]]:
    """A sort key by semantic versioning: numbers as numbers, a pre-release before its release."""
    plain, _, pre = version.partition("+")[0].partition("-")
    return _parts(plain), not pre, _parts(pre)


def _parts(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _number.findall(text) if part != "."]
