"""Answers that were given before: found again by the very same request, or by a question that means the same.

RULES
- Only for who asks for it, by a header or the setting; always within one tenant, and there within one project, or else one
  key or user: an answer to another question tells what was asked.
- A request with tools or pictures, or with results of tools, is never answered from here, and only an answer that came
  to its own end is kept.
- By the setting alone, only requests at temperature 0 are: who varies answers on purpose gets them varied.
"""

import array
import hashlib
import math
import operator
from typing import Any

import msgspec

from perdure.errors import Invalid, Unavailable
from perdure.ports.cache import Cache
from perdure.ports.edge import Caller
from perdure.ports.model import Answer, Message, Request
from perdure.services.agents.questions import LONGEST, differ

_MOST_ENTRIES = 50
"""Questions of one kind (same model, instruction, parameters) that are compared; the oldest go."""
_MODES = frozenset({"", "off", "exact", "semantic"})
_NO_EMBEDDING = "Name one with PERDURE_MODEL_CACHE_EMBEDDING, or use `exact`."
_sorted = msgspec.json.Encoder(order="sorted").encode
_read_answer = msgspec.msgpack.Decoder(Answer)


class Mode(msgspec.Struct, kw_only=True):
    """How one request may use what is kept."""

    is_exact: bool = False
    is_semantic: bool = False
    is_asked: bool = False
    """By this very request, and not only by the setting."""
    vector: tuple[float, ...] | None = None
    """Of its question, once it was computed."""


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    """One question: its vector as 32 bit floats of length 1, where its answer is, and its text."""

    vector: bytes
    place: str
    text: str


_read_entries = msgspec.msgpack.Decoder(list[_Entry])


class Answers:
    """Kept in the cache for `seconds`. `likeness` is the cosine from which two questions count as one."""

    def __init__(
        self,
        cache: Cache,
        *,
        default: str = "off",
        seconds: float = 3600.0,
        embedding: str = "",
        likeness: float = 0.95,
    ) -> None:
        if default == "semantic" and not embedding:
            raise Invalid("PERDURE_MODEL_CACHE=semantic needs a model that makes vectors.", hint=_NO_EMBEDDING)
        self._cache = cache
        self._default = default
        self._seconds = seconds
        self.embedding = embedding
        self._likeness = likeness

    def __repr__(self) -> str:
        return f"Answers(default={self._default}, seconds={self._seconds:g}, embedding={self.embedding or 'none'})"

    def mode(self, asked: str) -> Mode:
        """What a request wants: `exact`, `semantic`, `off`, or nothing, then the setting says. Invalid for another word."""
        if asked not in _MODES:
            raise Invalid(f"x-perdure-cache is `exact`, `semantic` or `off`, not {asked[:40]!r}.")
        if asked == "semantic" and not self.embedding:
            raise Invalid("No model is named here that tells which questions mean the same.", hint=_NO_EMBEDDING)
        wanted = asked or self._default
        if wanted not in ("exact", "semantic"):
            return Mode()
        return Mode(is_exact=True, is_semantic=wanted == "semantic", is_asked=bool(asked))

    def may_keep(self, request: Request, mode: Mode) -> bool:
        if not mode.is_exact or request.tools:
            return False
        if not mode.is_asked and request.parameters.get("temperature") != 0:
            return False
        return all(isinstance(m.content, str) and not m.tool_calls and m.role != "tool" for m in request.messages)

    async def exact(self, owner: str, request: Request) -> Answer | None:
        """The answer to the very same request."""
        return await self._get(_place(owner, request))

    def question(self, request: Request) -> str:
        """What the last turn asks; empty when the conversation does not end with the user, or with too much."""
        last = request.messages[-1]
        return last.text if last.role == "user" and len(last.text) <= LONGEST else ""

    async def similar(self, owner: str, request: Request, vector: tuple[float, ...]) -> Answer | None:
        """The answer to the nearest question that differs in nothing else, when it is near enough and its words do not
        ask for something else."""
        wanted, text = _unit(vector), self.question(request)
        best, place = self._likeness, ""
        for entry in await self._entries(_kind(owner, request)):
            likeness = _cosine(wanted, entry.vector)
            if likeness >= best and not differ(text, entry.text):
                best, place = likeness, entry.place
        return await self._get(place) if place else None

    async def keep(self, owner: str, request: Request, answer: Answer, vector: tuple[float, ...] | None) -> None:
        """Keep an answer that came to its own end."""
        if answer.finish != "stop" or answer.tool_calls:
            return
        place = _place(owner, request)
        try:
            await self._cache.put(place, msgspec.msgpack.encode(answer), self._seconds)
            if vector:
                kind = _kind(owner, request)
                entries = [entry for entry in await self._entries(kind) if entry.place != place]
                entries = [
                    *entries[-_MOST_ENTRIES + 1 :],
                    _Entry(_unit(vector).tobytes(), place, self.question(request)),
                ]
                await self._cache.put(kind, msgspec.msgpack.encode(entries), self._seconds)
        except Unavailable:
            return  # it was only to be faster another time

    async def _get(self, place: str) -> Answer | None:
        try:
            raw = await self._cache.get(place)
            return _read_answer.decode(raw) if raw else None
        except (Unavailable, msgspec.DecodeError):
            return None

    async def _entries(self, kind: str) -> list[_Entry]:
        try:
            raw = await self._cache.get(kind)
            return _read_entries.decode(raw) if raw else []
        except (Unavailable, msgspec.DecodeError):
            return []


def owner_of(caller: Caller) -> str:
    """Whose answers a caller may get."""
    return f"{caller.tenant}:{caller.project or caller.key or caller.subject}"


def _place(owner: str, request: Request) -> str:
    return f"{owner}:answer:{_hash(request.messages, request)}"


def _kind(owner: str, request: Request) -> str:
    """Everything but the last question."""
    return f"{owner}:questions:{_hash(request.messages[:-1], request)}"


def _hash(messages: tuple[Message, ...], request: Request) -> str:
    """Of all that may change an answer. Order of keys and how numbers are written do not."""
    what: Any = [request.model, messages, request.schema, request.parameters, request.dialect, request.more]
    return hashlib.blake2b(_sorted(what), digest_size=24).hexdigest()


def _unit(vector: tuple[float, ...]) -> "array.array[float]":
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return array.array("f", [value / length for value in vector])


def _cosine(one: "array.array[float]", other: bytes) -> float:
    known = array.array("f")
    known.frombytes(other)
    return sum(map(operator.mul, one, known)) if len(known) == len(one) else 0.0
