"""Big values in a bucket of any server that speaks S3. The endpoint is the administrator's, and no document names one."""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit
from weakref import WeakValueDictionary

import msgspec

from perdure.adapters.blobs_directory import checked
from perdure.errors import Invalid, Unavailable, extra

if TYPE_CHECKING:
    from obstore import ListResult, ObjectMeta

_Answer = TypeVar("_Answer")
_TURNS, _PROBES = ".turns", ".probes"
_AT_ONCE = 16
_YOUNG = timedelta(minutes=30)
_LOST = timedelta(seconds=60)
"""Who has taken a turn and not put for so long has died."""
_BODIES = 3
"""How often a value is fetched whose bytes break off."""
_HINT = "Check PERDURE_TEMPORAL_STORE and the settings PERDURE_S3_…."


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """Where the values are, and with which key they are reached."""

    place: str
    """`s3://bucket` or `s3://bucket/prefix`."""
    endpoint: str = ""
    region: str = "us-east-1"
    access_key: str = ""
    secret_key: str = ""
    ca: str = ""

    def __repr__(self) -> str:
        return f"Bucket({self.place!r}, {self.endpoint!r})"


class S3Blobs:
    """Implements `ports/blobs.py`. Where the server ignores `If-None-Match`, those who put the same name take turns."""

    def __init__(self, bucket: Bucket, *, pause: float = 1.0) -> None:
        """`pause`: seconds in which a request reaches the server surely; only where it ignores `If-None-Match`. Invalid when
        a setting is missing or the library is."""
        with extra("s3", "A store in S3"):  # heavy, and installed only with the extra
            import obstore
            from obstore import exceptions, store
        self._obstore = obstore
        self._errors = exceptions
        self._bucket = bucket
        self._pause = pause
        self._is_atomic: bool | None = None
        self._threads = ThreadPoolExecutor(_AT_ONCE, "s3")
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Who puts the same hash: one writes, and the others find it."""
        name, prefix = _parts(bucket)
        # Without an endpoint it is AWS, where a bucket has a host of its own.
        where: store.S3Config = (
            {"endpoint": bucket.endpoint} if bucket.endpoint else {"virtual_hosted_style_request": True}
        )
        options: store.ClientConfig = {
            "allow_http": bucket.endpoint.startswith("http://"), "timeout": "60s", "connect_timeout": "5s",
        }  # fmt: skip
        if bucket.ca:
            options["root_certificate"] = _read(bucket.ca)
        self._store = store.S3Store(
            name,
            prefix=prefix or None,
            config={
                **where,
                "region": bucket.region,
                "access_key_id": bucket.access_key,
                "secret_access_key": bucket.secret_key,
            },
            client_options=options,
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
        )

    def __repr__(self) -> str:
        return f"S3Blobs({self._bucket!r})"

    async def put(self, name: str, body: bytes, *, is_hash: bool = False) -> bool:
        checked(name)
        with self._border():
            if is_hash:
                # Written again only when it ages: for some servers a value that is written over is not there for a moment.
                async with self._turns.setdefault(name, asyncio.Lock()):
                    if not await self._is_young(name):
                        await self._write(name, body)
                return True
            if self._is_atomic is None:
                self._is_atomic = await self._probe()
            if self._is_atomic:
                return await self._create(name, body)
            return await self._put_in_turn(name, body)

    async def get(self, name: str) -> bytes | None:
        with self._border():
            found = await self._found(checked(name))
            if found is None and not self._is_atomic:  # perhaps another process is writing it over
                await asyncio.sleep(self._pause)
                found = await self._found(name)
            return found

    async def names(self, prefix: str) -> list[str]:
        with self._border():
            found = await self._list(checked(prefix))
        paths = [*found["common_prefixes"], *(one["path"] for one in found["objects"])]
        # Some servers list a directory that has become empty as if it were a value in itself.
        return sorted({path.removeprefix(prefix).strip("/").partition("/")[0] for path in paths} - {""})

    async def delete(self, name: str, *, before: int) -> bool:
        with self._border():
            found = await self._head(checked(name))
            # A server keeps whole seconds: what was put within the last of them may be younger than it says.
            if found is None or (found["last_modified"].timestamp() + 1) * 1000 > before:
                return False
            await self._do(self._obstore.delete, self._store, name)
            return True

    async def _do(self, call: Callable[..., _Answer], *values: Any) -> _Answer:
        # Not with the library's own coroutines: a process that used one is aborted at its end every other time.
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *values)

    async def _list(self, prefix: str) -> "ListResult[Sequence[ObjectMeta]]":
        return await self._do(self._obstore.list_with_delimiter, self._store, prefix + "/")

    async def _head(self, name: str) -> "ObjectMeta | None":
        try:
            return await self._do(self._obstore.head, self._store, name)
        except FileNotFoundError:
            return None

    async def _found(self, name: str) -> bytes | None:
        for left in reversed(range(_BODIES)):
            try:
                answer = await self._do(self._obstore.get, self._store, name)
            except FileNotFoundError:
                return None
            try:
                return bytes(await self._do(answer.bytes))
            except self._errors.BaseError:  # it broke off: the library asks again only as long as no answer has begun
                if not left:
                    raise
                await asyncio.sleep(self._pause)
        return None

    async def _is_young(self, name: str) -> bool:
        found = await self._head(name)
        return found is not None and datetime.now(UTC) - found["last_modified"] < _YOUNG

    async def _write(self, name: str, body: bytes) -> None:
        await self._do(partial(self._obstore.put, self._store, name, body, use_multipart=False))

    async def _create(self, name: str, body: bytes) -> bool:
        try:
            put = partial(self._obstore.put, self._store, name, body, mode="create", use_multipart=False)
            await self._do(put)
        except self._errors.AlreadyExistsError:
            return False
        return True

    async def _probe(self) -> bool:
        """Whether the server keeps a second one from putting the same name."""
        name = f"{_PROBES}/{uuid.uuid4().hex}"
        try:
            await self._create(name, b"1")
            return not await self._create(name, b"2")
        except self._errors.NotSupportedError:
            return False
        finally:
            with contextlib.suppress(self._errors.BaseError):
                await self._do(self._obstore.delete, self._store, name)

    async def _put_in_turn(self, name: str, body: bytes) -> bool:
        """Say that it is wanted, wait until all have said so who began before it was there, and let the first one put.

        Right as long as a request takes no longer than the pause, which a server's own condition would not need.
        """
        if await self._head(name) is not None:
            return False
        turns = f"{_TURNS}/{quote(name, safe='')}"
        mine = f"{turns}/{uuid.uuid4().hex}"
        await self._write(mine, b"1")
        try:
            await asyncio.sleep(self._pause)
            if await self._head(name) is not None:
                return False
            if await self._first(turns, mine) == mine:
                await self._write(name, body)
                return True
            return await self._is_put(name)
        finally:
            await self._do(self._obstore.delete, self._store, mine)

    async def _first(self, turns: str, mine: str) -> str:
        found = (await self._list(turns))["objects"]
        now = max(one["last_modified"] for one in found)
        living = [one["path"] for one in found if one["last_modified"] > now - _LOST]
        return min((path for path in living), key=lambda path: path.rpartition("/")[2], default=mine)

    async def _is_put(self, name: str) -> bool:
        for _ in range(20):
            if await self._head(name) is not None:
                return False
            await asyncio.sleep(self._pause / 2)
        raise Unavailable(f"Another process began to keep {name} and did not end.", hint="Try again in a minute.")

    @contextlib.contextmanager
    def _border(self) -> Iterator[None]:
        try:
            yield
        except (self._errors.PermissionDeniedError, self._errors.UnauthenticatedError):
            raise Unavailable(
                f"The store {self._bucket.place} refuses the key that it was given.", hint=_HINT
            ) from None
        except (self._errors.BaseError, OSError) as error:
            reason = str(error).partition(": Error performing ")[2].partition(" - ")[2].partition(": <?xml")[0]
            reason = reason.splitlines()[0][:200] if reason else type(error).__name__
            raise Unavailable(f"The store {self._bucket.place} cannot be used ({reason}).", hint=_HINT) from None


def _parts(bucket: Bucket) -> tuple[str, str]:
    place = urlsplit(bucket.place)
    if place.scheme != "s3" or not place.netloc:
        raise Invalid(f"{bucket.place!r} is not a place in S3.", hint="Write `s3://bucket` or `s3://bucket/prefix`.")
    if not bucket.access_key or not bucket.secret_key:
        # Without a key the library would ask an address of the machine's own network for one.
        raise Invalid(
            f"The store {bucket.place} needs a key.", hint="Set PERDURE_S3_ACCESS_KEY and PERDURE_S3_SECRET_KEY."
        )
    if bucket.endpoint and urlsplit(bucket.endpoint).scheme not in {"http", "https"}:
        raise Invalid(f"{bucket.endpoint!r} is not an address.", hint="Write `https://host` or `http://host:port`.")
    return place.netloc, place.path.strip("/")


def _read(file: str) -> bytes:
    try:
        return Path(file).expanduser().read_bytes()
    except OSError as error:
        raise Invalid(f"The file {file} cannot be read: {error.strerror}.", hint="See PERDURE_S3_CA.") from None
