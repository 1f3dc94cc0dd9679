"""Gathers the pieces of a streamed answer into the whole one. Pure; used by every wire format.

It refuses what cannot be the stream of one answer: more text after the end, a call that never got a name.
"""

import contextlib
from typing import Any

import msgspec

from perdure.adapters.model_endpoint import broken
from perdure.language.values import Json
from perdure.ports.model import Answer, CallDelta, Finish, TextDelta, ToolCall


class _Call:
    __slots__ = ("id", "name", "parts", "seal")

    def __init__(self) -> None:
        self.id = self.name = self.seal = ""
        self.parts: list[str] = []


class Gathered:
    """What has been said so far."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._calls: list[_Call] = []

    def __repr__(self) -> str:
        return f"Gathered({len(self._text)} pieces of text, {len(self._calls)} calls)"

    @property
    def said(self) -> str:
        return "".join(self._text)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said yet: asking again would buy nothing twice that anybody saw."""
        return not self._text and not self._calls

    def text(self, piece: str) -> list[TextDelta]:
        """More text; an empty piece is nothing."""
        if not isinstance(piece, str):
            raise broken("a piece of the text is no text")
        if not piece:
            return []
        self._text.append(piece)
        return [TextDelta(piece)]

    def begin(self, id: str, name: str, seal: str = "") -> int:
        """One more call; gives its number."""
        call = _Call()
        call.id, call.name, call.seal = id, name, seal
        self._calls.append(call)
        return len(self._calls) - 1

    def opened(self, index: int) -> CallDelta:
        """How a call is announced."""
        call = self._calls[index]
        return CallDelta(index, call.id or f"call-{index}", call.name)

    def more(self, index: int, arguments: str) -> list[CallDelta]:
        """More of the arguments of a call."""
        if not isinstance(arguments, str):
            raise broken("a piece of the arguments of a tool call is no text")
        if not arguments:
            return []
        self._calls[index].parts.append(arguments)
        return [CallDelta(index, arguments=arguments)]

    def written(self, index: int) -> str:
        """The arguments of a call so far."""
        return "".join(self._calls[index].parts)

    def answer(self, finish: Finish, usage: dict[str, Any]) -> Answer:
        """The whole. With calls it is finished for them, unless it was refused."""
        if any(not call.name for call in self._calls):
            raise broken("a tool call has no name")
        calls = tuple(
            ToolCall(call.id or f"call-{index}", call.name, read_arguments("".join(call.parts)), call.seal)
            for index, call in enumerate(self._calls)
        )
        return whole(self.said, finish, usage, calls)


def whole(text: str, finish: Finish, usage: dict[str, Any], calls: tuple[ToolCall, ...]) -> Answer:
    """An answer. One that was refused has no calls; one that was cut within its calls is cut."""
    if finish == "refused":
        return Answer(text=text, finish=finish, usage=usage)
    return Answer(text=text, finish="tools" if calls else finish, usage=usage, tool_calls=calls)


def read_arguments(text: Json) -> Json:
    """Arguments as they came: some endpoints give no text where no argument is needed, some an object."""
    if isinstance(text, str) and text.strip():
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            return msgspec.json.decode(text)
        return text
    return text if isinstance(text, dict | list) else {}


def write_arguments(arguments: Json) -> str:
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def number(value: Any) -> int:
    """A count of tokens; what is no number counts as none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def usage(model: Any, into: Any, out: Any, cached: Any = 0) -> dict[str, Any]:
    """`{"inputTokens", "outputTokens", "model"}`; `into` includes what was cached."""
    made: dict[str, Any] = {"inputTokens": number(into), "outputTokens": number(out), "model": str(model)}
    if number(cached):
        made["inputTokensCached"] = number(cached)
    return made
