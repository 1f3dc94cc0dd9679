"""Messages as they go over the wire (`/v1/messages`), seen by who asks: request, answer, stream.

Pure. Written from the public API reference; `anthropic_serving.py` is the other side of the same wire.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from perdure.adapters import model_answers
from perdure.adapters.model_answers import Gathered
from perdure.adapters.model_endpoint import broken
from perdure.ports.model import (
    Answer,
    CallDelta,
    Chunk,
    Finish,
    Image,
    Message,
    ModelFailed,
    MoreDelta,
    Request,
    Text,
    Tool,
    ToolCall,
)

DIALECT = "messages"
MOST_TOKENS = 8_192
"""The wire wants a limit; this is it where a request has none."""

_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
OWN = frozenset({"thinking", "redacted_thinking"})
"""Blocks that only this wire knows: its provider wants to see them again, as they were and where they were."""
BLOCKS = "blocks"
"""Where `more` has them, each with its place among all blocks."""
BETA = "anthropic-beta"
"""The header with which callers ask for what is not settled yet: it goes along among the rest."""
CHOICE = "tool_choice"
_GROWING = {"thinking_delta": "thinking", "signature_delta": "signature"}
_NO_ID = re.compile(r"[^A-Za-z0-9_-]")
_NOTHING = "(empty)"
"""Instead of a text that is empty, which the wire does not take."""


def body(request: Request, model: str, *, is_streamed: bool = False) -> dict[str, Any]:
    """The request."""
    given, own = request.parameters, request.dialect == DIALECT
    wire: dict[str, Any] = {
        "model": model,
        "max_tokens": given.get("maxTokens", MOST_TOKENS),
        "messages": _messages((message for message in request.messages if message.role != "system"), own=own),
    }
    system = [message for message in request.messages if message.role == "system"]
    if own and any(not isinstance(message.content, str) for message in system):
        wire["system"] = [block for message in system for block in _blocks(message, own=True)]
    elif any(message.text for message in system):
        wire["system"] = "\n\n".join(message.text for message in system)
    if request.tools:
        wire["tools"] = [_tool(tool, own=own) for tool in request.tools]
        kind = _CHOICES.get(request.choice)
        if request.choice != "auto" and not (own and CHOICE in request.more):
            wire[CHOICE] = {"type": kind} if kind else {"type": "tool", "name": request.choice}
    if "temperature" in given:
        wire["temperature"] = min(1, given["temperature"])  # its scale ends at 1
    for ours, theirs in (("topP", "top_p"), ("stop", "stop_sequences")):
        if ours in given:
            wire[theirs] = given[ours]
    if own:
        wire = {**{name: value for name, value in request.more.items() if name != BETA}, **wire}
    if is_streamed:
        wire["stream"] = True
    return wire


def is_bound(request: Request) -> bool:
    """Whether the request says in words of this wire what binds its answer."""
    said = request.more if request.dialect == DIALECT else {}
    return "output_format" in said or bool((said.get("output_config") or {}).get("format"))


def put_back(content: list[dict[str, Any]], more: Mapping[str, Any]) -> None:
    """Put the blocks that only this wire knows where they were."""
    for place, block in more.get(BLOCKS, ()):
        content.insert(place, block)


def _tool(tool: Tool, *, own: bool) -> dict[str, Any]:
    schema = {"type": "object", **tool.parameters}
    return {**(tool.more if own else {}), "name": tool.name, "description": tool.description, "input_schema": schema}


def _with(made: Answer, blocks: list[Any], stopped: Any, used: Any) -> Answer:
    """What the port has no word for: these blocks, what stopped it, and how much was put into the cache."""
    stored = model_answers.number((used or {}).get("cache_creation_input_tokens"))
    told = {BLOCKS: blocks, "stop_sequence": stopped, "stored": stored}
    more = {name: value for name, value in told.items() if value}
    return msgspec.structs.replace(made, dialect=DIALECT, more=more) if more else made


def answer(wire: Any, model: str) -> Answer:
    """What a whole response says. Raises ModelFailed when it is none."""
    try:
        text = "".join(block["text"] for block in wire["content"] if block["type"] == "text")
        calls = tuple(
            ToolCall(block["id"], block["name"], model_answers.read_arguments(block.get("input")))
            for block in wire["content"]
            if block["type"] == "tool_use"
        )
        finish = _finish(wire["stop_reason"])
        own = [[index, block] for index, block in enumerate(wire["content"]) if block["type"] in OWN]
        used = _usage(wire.get("usage") or {}, wire.get("model") or model)
    except (LookupError, TypeError, AttributeError):
        raise ModelFailed(
            "The model endpoint answered with something that is no message.", failure="communication", sent=True
        ) from None
    return _with(model_answers.whole(text, finish, used, calls), own, wire.get("stop_sequence"), wire.get("usage"))


class Stream:
    """Reads the events of one streamed answer, in the one order that they may have."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._gathered = Gathered()
        self._is_started = False
        self._next = 0
        self._open: str | None = None
        self._call = 0
        self._own: list[Any] = []
        self._reason: str | None = None
        self._stopped: Any = None
        self._used: dict[str, Any] = {}
        self.is_done = False

    def __repr__(self) -> str:
        return f"Stream({self._gathered!r}, {self._next} blocks, finished: {self._reason})"

    def take(self, data: str) -> list[Chunk]:
        """What one event adds. Raises ModelFailed."""
        if self.is_done:
            return []
        try:
            wire = msgspec.json.decode(data)
            return self._take(wire)
        except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
            raise broken("an event is no piece of a message") from None

    def _take(self, wire: dict[str, Any]) -> list[Chunk]:
        match wire["type"]:
            case "error":
                said = str((wire.get("error") or {}).get("message"))[:300]
                raise broken(f"it says {said!r}", again=self._gathered.is_empty)
            case "message_start":
                if self._is_started:
                    raise broken("it begins twice")
                self._is_started = True
                self._model = wire["message"].get("model") or self._model
                self._used |= wire["message"].get("usage") or {}
            case "content_block_start":
                return self._begin(wire["index"], wire["content_block"])
            case "content_block_delta":
                self._expect(wire["index"], is_open=True)
                return self._more(wire["delta"])
            case "content_block_stop":
                self._expect(wire["index"], is_open=True)
                self._open, self._next = None, self._next + 1
            case "message_delta":
                self._reason = wire["delta"].get("stop_reason") or self._reason
                self._stopped = wire["delta"].get("stop_sequence")
                self._used |= {key: value for key, value in (wire.get("usage") or {}).items() if value is not None}
            case "message_stop":
                self.is_done = True
                return [self.end()]
        return []

    def _expect(self, index: int, *, is_open: bool) -> None:
        if not self._is_started or self._reason or index != self._next or (self._open is not None) != is_open:
            raise broken("its events are not in order")

    def _begin(self, index: int, block: dict[str, Any]) -> list[Chunk]:
        self._expect(index, is_open=False)
        self._open = block["type"]
        if self._open == "text":
            return [*self._gathered.text(block.get("text") or "")]
        if self._open == "tool_use":
            self._call = self._gathered.begin(block["id"], block["name"])
            given = block.get("input")
            first = self._gathered.more(self._call, model_answers.write_arguments(given) if given else "")
            return [self._gathered.opened(self._call), *first]
        if self._open in OWN:
            self._own.append([index, dict(block)])
            return [MoreDelta(DIALECT, {"block": block})]
        return []

    def _more(self, delta: dict[str, Any]) -> list[Chunk]:
        if delta["type"] == "text_delta" and self._open == "text":
            return [*self._gathered.text(delta["text"])]
        if delta["type"] == "input_json_delta" and self._open == "tool_use":
            more: list[CallDelta] = self._gathered.more(self._call, delta["partial_json"])
            return [*more]
        if delta["type"] in _GROWING and self._open in OWN:
            name = _GROWING[delta["type"]]
            block = self._own[-1][1]
            block[name] = block.get(name, "") + delta[name]
            return [MoreDelta(DIALECT, {"delta": delta}, delta[name])]
        return []

    def end(self) -> Answer:
        """The whole. ModelFailed when the stream told no end: it was cut."""
        if self._reason is None or self._open is not None or not self.is_done:
            raise broken("it ended before the answer did")
        made = self._gathered.answer(_finish(self._reason), _usage(self._used, self._model))
        return _with(made, self._own, self._stopped, self._used)


def _finish(reason: Any) -> Finish:
    if reason == "refusal":
        return "refused"
    return "length" if reason in ("max_tokens", "model_context_window_exceeded") else "stop"


def _usage(told: dict[str, Any], model: Any) -> dict[str, Any]:
    """What was read from and put into the cache is no part of `input_tokens` on this wire; it is of ours."""
    cached = model_answers.number(told.get("cache_read_input_tokens"))
    stored = model_answers.number(told.get("cache_creation_input_tokens"))
    into = model_answers.number(told.get("input_tokens")) + cached + stored
    return model_answers.usage(model, into, told.get("output_tokens"), cached)


def _messages(messages: Iterable[Message], *, own: bool) -> list[dict[str, Any]]:
    """Neighbours of one role are one message; results of tools are the user's."""
    made: list[dict[str, Any]] = []
    names = _Names()
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        if not made or made[-1]["role"] != role:
            made.append({"role": role, "content": []})
        made[-1]["content"] += _blocks(names.of(message), own=own)
    for wire in made:
        wire["content"] = wire["content"] or [{"type": "text", "text": _NOTHING}]
    return made


class _Names:
    """Ids of calls as this wire takes them: of letters, digits, `_` and `-`, and each once. A conversation that began at
    another provider may have others: results follow their calls in order."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._open: dict[str, list[str]] = {}

    def of(self, message: Message) -> Message:
        """The message with such ids."""
        if message.role == "tool":
            told = self._open.get(message.tool_call)
            id = told.pop(0) if told else _NO_ID.sub("_", message.tool_call)
            return message if id == message.tool_call else msgspec.structs.replace(message, tool_call=id)
        if not message.tool_calls:
            return message
        self._open = {}
        calls = tuple(self._call(call) for call in message.tool_calls)
        return message if calls == message.tool_calls else msgspec.structs.replace(message, tool_calls=calls)

    def _call(self, call: ToolCall) -> ToolCall:
        clean = id = _NO_ID.sub("_", call.id) or "call"
        number = 1
        while id in self._taken:
            number += 1
            id = f"{clean}-{number}"
        self._taken.add(id)
        self._open.setdefault(call.id, []).append(id)
        return call if id == call.id else msgspec.structs.replace(call, id=id)


def _blocks(message: Message, *, own: bool) -> list[dict[str, Any]]:
    more = message.more if own else {}
    if message.role == "tool":
        said = message.content if isinstance(message.content, str) else _parts(message.content, own=own)
        return [{**more, "type": "tool_result", "tool_use_id": message.tool_call, "content": said or _NOTHING}]
    blocks: list[dict[str, Any]] = []
    if not isinstance(message.content, str):
        blocks = _parts(message.content, own=own)
    elif message.content.strip():
        blocks.append({"type": "text", "text": message.content})
    for call in message.tool_calls:
        given = call.arguments if isinstance(call.arguments, dict) else {"text": call.arguments}
        blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": given})
    put_back(blocks, more)
    return blocks


def _parts(parts: Iterable[Text | Image], *, own: bool) -> list[dict[str, Any]]:
    made = []
    for part in parts:
        block = _image(part) if isinstance(part, Image) else {"type": "text", "text": part.text or _NOTHING}
        made.append({**part.more, **block} if own else block)
    return made


def _image(image: Image) -> dict[str, Any]:
    if image.uri:
        return {"type": "image", "source": {"type": "url", "url": image.uri}}
    return {"type": "image", "source": {"type": "base64", "media_type": image.media, "data": image.data}}
