"""One HTTP endpoint of a provider of models: sends JSON there, reads JSON or a stream, and says what failures mean.

Address and key are the administrator's (security.md rule 8): the key goes to this address only and is part of no
message. Nothing is repeated here; `model_retries.py` does that.
"""

import contextlib
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from perdure.adapters.event_lines import Event, Events, Lines, Malformed
from perdure.interpreter.redaction import Redaction
from perdure.ports.clock import Clock
from perdure.ports.egress import Egress, EgressFailed, EgressRefused, Streamed
from perdure.ports.model import Failure, ModelFailed

BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_JSON = "application/json"
_MOST_SAID = 65_536
_IDLE = 120.0
"""Seconds that a stream may stand still, pings included; `model_timeouts.py` is stricter about what is said."""

Key = Callable[[], Awaitable[str]]
"""Gives the key when it is needed: a secret may be changed while the process lives."""

T = TypeVar("T")


class Endpoint:
    """`url` is the address before the paths; `header` makes the headers that carry a key; `where` tells an administrator
    where the key is set."""

    def __init__(
        self,
        egress: Egress,
        clock: Clock,
        *,
        url: str,
        key: str | Key,
        header: Callable[[str], dict[str, str]],
        where: str,
    ) -> None:
        self.url = url
        self._egress = egress
        self._clock = clock
        self._key = key
        self._header = header
        self._where = where

    def __repr__(self) -> str:
        return f"Endpoint({self.url})"

    async def post(self, path: str, body: Any, *, key: str, timeout: float, headers: Mapping[str, str] = {}) -> Any:
        """The JSON that the endpoint answers with. Raises ModelFailed."""
        secret = await self._secret()
        sent = {**self._headers(secret, key, "application/json"), **headers}
        with self._failures(secret):
            response = await self._egress.request(
                "POST", self.url + path, headers=sent, body=msgspec.json.encode(body), timeout=timeout
            )
        answered = _without(secret).content(response.body)
        if response.status != 200:
            raise self._refusal(secret, response.status, response.headers, answered)
        try:
            return msgspec.json.decode(answered)
        except (msgspec.DecodeError, RecursionError):
            raise ModelFailed(
                "The model endpoint answered with something that is not JSON.", failure="communication", sent=True
            ) from None

    async def events(
        self,
        path: str,
        body: Any,
        *,
        key: str,
        timeout: float,
        until: Callable[[], bool] = lambda: False,
        headers: Mapping[str, str] = {},
    ) -> AsyncGenerator[Event, None]:
        """The server-sent events that the endpoint answers with, `until` the last one. Raises ModelFailed.

        It ends by itself then, so that the connection can be used again: whoever breaks off loses it.
        """
        sent = {"accept": "text/event-stream", **headers}
        async with contextlib.aclosing(
            self._stream(path, body, Events().feed, key=key, timeout=timeout, headers=sent, until=until, whole=_event)
        ) as events:
            async for event in events:
                yield event

    async def lines(self, path: str, body: Any, *, key: str, timeout: float) -> AsyncGenerator[bytes, None]:
        """The lines that the endpoint answers with, a last one without an end too. Raises ModelFailed."""
        reader = Lines()
        sent = {"accept": "application/x-ndjson"}
        async with contextlib.aclosing(
            self._stream(path, body, reader.feed, key=key, timeout=timeout, headers=sent)
        ) as lines:
            async for line in lines:
                yield line
        if reader.rest().strip():
            yield reader.rest()

    async def _stream(
        self,
        path: str,
        body: Any,
        feed: Callable[[bytes], list[T]],
        *,
        key: str,
        timeout: float,
        headers: Mapping[str, str],
        until: Callable[[], bool] = lambda: False,
        whole: Callable[[bytes], T] | None = None,
    ) -> AsyncGenerator[T, None]:
        """`whole` makes one item of an answer that came whole: some endpoints cannot stream, and say nothing of it."""
        secret = await self._secret()
        sent = {**self._headers(secret, key, ""), **headers}
        hidden = _without(secret)
        with self._failures(secret):
            async with self._egress.stream(
                "POST", self.url + path, headers=sent, body=msgspec.json.encode(body), timeout=timeout, idle=_IDLE
            ) as streamed:
                if streamed.status != 200:
                    said = hidden.content(await _beginning(streamed))
                    raise self._refusal(secret, streamed.status, streamed.headers, said)
                if whole is not None and _JSON in streamed.headers.get("content-type", ""):
                    said = hidden.content(b"".join([chunk async for chunk in streamed.body]))
                    for item in [whole(said)] if said.lstrip()[:1] == b"{" else feed(said):
                        yield item
                    return
                async for chunk in streamed.body:
                    for item in feed(hidden.content(chunk)):
                        yield item
                    if until():
                        return

    @contextlib.contextmanager
    def _failures(self, secret: str) -> Any:
        try:
            yield
        except EgressRefused as error:
            text = _clean(f"The model endpoint may not be reached: {error}", secret)
            raise ModelFailed(text, failure="configuration") from None
        except EgressFailed as error:
            # `sent` even when nothing was sent now: a delivery of the same request that a crash cut short may have
            # arrived. `again` is about this one only.
            text = _clean(f"The model endpoint did not answer: {error}", secret)
            raise ModelFailed(text, failure="communication", sent=True, again=not error.sent) from None
        except Malformed as error:
            raise broken(f"{error}") from None

    async def _secret(self) -> str:
        return self._key if isinstance(self._key, str) else await self._key()

    def _headers(self, secret: str, key: str, accept: str) -> dict[str, str]:
        headers = {"content-type": "application/json", "accept": accept, "idempotency-key": key}
        return {**headers, **self._header(secret)} if secret else headers

    def _refusal(self, secret: str, status: int, headers: Mapping[str, str], body: bytes) -> ModelFailed:
        failure: Failure = "authentication" if status in {401, 403} else "communication"
        said = _said(body)
        text = f"The model endpoint answered {status}{': ' + said if said else ''}."
        if failure == "authentication":
            text += f" Check the key in {self._where}."
        wait = _wait(headers.get("retry-after", ""), self._clock.now())
        return ModelFailed(_clean(text, secret), failure=failure, status=status, again=status in BUSY, wait=wait)


def _event(said: bytes) -> Event:
    return Event("", said.decode("utf-8", "replace"))


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


class EndpointModel:
    """What is alike in most adapters: one endpoint, and `model` as the default model. Each has its `address` where no other is
    given, its `paths` (what stands before them, and their ends, as of `base`), and how it carries a key."""

    address: str
    paths: tuple[str, ...]
    header = staticmethod(bearer)

    def __init__(
        self,
        egress: Egress,
        clock: Clock,
        *,
        url: str = "",
        key: str | Key = "",
        model: str = "",
        where: str = "PERDURE_MODELS",
    ) -> None:
        address = base(url or self.address, *self.paths)
        self._endpoint = Endpoint(egress, clock, url=address, key=key, header=self.header, where=where)
        self._model = model

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._endpoint.url}, model {self._model or 'default'})"


def base(url: str, default: str, *endings: str) -> str:
    """The address before the paths: `https://host`, `https://host/v1` and the whole address of a path all mean the
    same. `default` is what stands before the paths where the address names no path at all."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    for ending in endings:
        if path.endswith(ending):
            return parts._replace(path=path.removesuffix(ending)).geturl()
    return parts._replace(path=path or default).geturl()


def broken(what: str, *, again: bool = False) -> ModelFailed:
    """A stream that is none, or that ended too early: never a half answer taken for a whole one."""
    text = f"The model endpoint's stream is not whole: {what}."
    return ModelFailed(text, failure="communication", sent=True, again=again)


async def _beginning(streamed: Streamed) -> bytes:
    """As much of a refusal as is worth reading."""
    said = b""
    async for chunk in streamed.body:
        said += chunk
        if len(said) > _MOST_SAID:
            break
    return said


@functools.lru_cache(64)
def _without(secret: str) -> Redaction:
    """Keeps the key out of what an endpoint says back, which is journaled and shown."""
    made = Redaction()
    made.add(secret)
    return made


def _clean(text: str, secret: str) -> str:
    return _without(secret).text(text)


def _wait(told: str, now: int) -> float | None:
    """Seconds that a `retry-after` asks for."""
    told = told.strip()
    if not told:
        return None
    if told.replace(".", "", 1).isdigit():
        return float(told)
    import email.utils  # 15 ms of start-up that only a date in a refusal is worth

    with contextlib.suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - now / 1000)
    return None


def _said(body: bytes) -> str:
    """The sentence of an error: `{"error": {"message": …}}`, `{"error": …}`, or such a thing in a list."""
    try:
        value = msgspec.json.decode(body)
        error = (value[0] if isinstance(value, list) else value)["error"]
        text = error["message"] if isinstance(error, dict) else error
    except (msgspec.DecodeError, LookupError, TypeError, RecursionError):
        text = body[:400].decode("utf-8", "replace")
    text = " ".join(str(text).split())
    return text.rstrip(".")[:300]
