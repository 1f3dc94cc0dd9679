"""A model that reads its answers from a file: for tests, and for examples that must run without a key.

It is a provider only where the administrator names a file (`PERDURE_MODEL_SCRIPT`). The file is a list of answers, or
a map from a part of the instruction to such a list. An answer is a text, or `{"text", "toolCalls": [{"name",
"arguments", "id"?}], "usage": {"inputTokens", "outputTokens", "cost"}, "refused": bool}`. Which one is given follows
from the request alone: as many as the conversation already holds are passed over, so nothing has to be remembered.
"""

from collections.abc import AsyncGenerator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from perdure.language.read import Unreadable, read
from perdure.ports.model import (
    Answer,
    CallDelta,
    Chunk,
    ModelFailed,
    Request,
    TextDelta,
    Texts,
    ToolCall,
    Vectors,
)

_PIECE = 16
"""Characters of one piece of a stream."""

_DIMENSIONS = 8


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    arguments: Any = msgspec.field(default_factory=dict)
    id: str = ""


class _Line(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    text: str = ""
    tool_calls: list[_Call] = []
    usage: dict[str, int | float] = {}
    refused: bool = False


_Lines = list[_Line | str]


class ScriptedModel:
    """`requests` holds what was asked, in order, also what was asked again."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._script: _Lines | dict[str, _Lines] | None = None
        self.requests: list[Request] = []

    def __repr__(self) -> str:
        return f"ScriptedModel({self._file}, {len(self.requests)} requests)"

    async def ask(self, request: Request) -> Answer:
        """The next answer of the script. ModelFailed `configuration` when there is none."""
        self.requests.append(request)
        lines = self._lines(request)
        said = sum(message.role == "assistant" for message in request.messages)
        if said >= len(lines):
            raise ModelFailed(f"The script {self._file} has no answer number {said + 1}.", failure="configuration")
        return _answer(lines[said], said)

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """The same in small pieces."""
        answer = await self.ask(request)
        for start in range(0, len(answer.text), _PIECE):
            yield TextDelta(answer.text[start : start + _PIECE])
        for index, call in enumerate(answer.tool_calls):
            yield CallDelta(index, call.id, call.name)
            yield CallDelta(index, arguments=msgspec.json.encode(call.arguments).decode())
        yield answer

    async def embed(self, texts: Texts) -> Vectors:
        """A vector that follows from the text: equal for equal texts, and without any meaning."""
        most = texts.dimensions or _DIMENSIONS
        vectors = tuple(tuple(_numbers(text, most)) for text in texts.texts)
        return Vectors(vectors=vectors, usage={"inputTokens": 0, "outputTokens": 0, "model": "scripted"})

    def _lines(self, request: Request) -> _Lines:
        if self._script is None:
            self._script = self._read()
        if isinstance(self._script, list):
            return self._script
        instruction = request.messages[0].text
        for part, lines in self._script.items():
            if part in instruction:
                return lines
        raise ModelFailed(f"The script {self._file} has no answers for this instruction.", failure="configuration")

    def _read(self) -> _Lines | dict[str, _Lines]:
        try:
            value = read(self._file.read_bytes()).value
            kind: Any = dict[str, _Lines] if isinstance(value, dict) else _Lines
            script: _Lines | dict[str, _Lines] = msgspec.convert(value, kind)
        except (OSError, ValueError, Unreadable) as error:
            raise ModelFailed(
                f"The script {self._file} cannot be used: {str(error).rstrip('.')}.", failure="configuration"
            ) from None
        return script


def _answer(line: _Line | str, number: int) -> Answer:
    line = _Line(text=line) if isinstance(line, str) else line
    usage: dict[str, Any] = {"inputTokens": 0, "outputTokens": 0, "model": "scripted", **line.usage}
    calls = tuple(
        ToolCall(call.id or f"call-{number}-{index}", call.name, call.arguments)
        for index, call in enumerate(line.tool_calls)
    )
    if line.refused:
        return Answer(text=line.text, finish="refused", usage=usage)
    return Answer(text=line.text, finish="tools" if calls else "stop", usage=usage, tool_calls=calls)


def _numbers(text: str, most: int) -> list[float]:
    numbers: list[float] = []
    while len(numbers) < most:
        digest = blake2b(f"{len(numbers)}:{text}".encode(), digest_size=32).digest()
        numbers += [round(byte / 127.5 - 1, 6) for byte in digest]
    return numbers[:most]
