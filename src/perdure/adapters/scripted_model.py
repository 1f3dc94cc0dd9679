"""A model that reads its answers from a file: for tests, and for examples that must run without a key.

It is a provider only where the administrator names a file (`PERDURE_MODEL_SCRIPT`). The file is a list of answers, or
a map from a part of the instruction to such a list. An answer is a text, or `{"text", "toolCalls": [{"name",
"arguments", "id"?}], "usage": {"inputTokens", "outputTokens"}, "refused": bool}`. Which one is given follows from the
request alone: as many as the conversation already holds are passed over, so nothing has to be remembered.
"""

from pathlib import Path
from typing import Any

import msgspec

from perdure.language.read import Unreadable, read
from perdure.ports.model import Answer, ModelFailed, Request, ToolCall


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    arguments: Any = msgspec.field(default_factory=dict)
    id: str = ""


class _Line(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    text: str = ""
    tool_calls: list[_Call] = []
    usage: dict[str, int] = {}
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

    def _lines(self, request: Request) -> _Lines:
        if self._script is None:
            self._script = self._read()
        if isinstance(self._script, list):
            return self._script
        instruction = request.messages[0].content
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
