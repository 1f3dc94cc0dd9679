"""Messages as they go over the wire, seen by who answers: requests in, answers and streams out.

Pure. `anthropic_wire.py` is the other side. What our port has no word for travels on in `Request.more`.
"""

from typing import Any

from perdure.adapters import anthropic_wire
from perdure.adapters.model_endpoint import broken
from perdure.adapters.model_reading import (
    event,
    read_image,
    read_list,
    read_object,
    read_parameters,
    read_stop,
    read_text,
    read_tool,
    refused,
    rest,
    tokens,
)
from perdure.ports.model import (
    Answer,
    Chunk,
    Content,
    Image,
    Message,
    MoreDelta,
    Request,
    Text,
    TextDelta,
    Tool,
    ToolCall,
)
from perdure.ports.model_wire import About, Wanted

_NUMBERS = {"temperature": "temperature", "top_p": "topP", "max_tokens": "maxTokens"}
_KNOWN = frozenset({*_NUMBERS, "model", "messages", "system", "tools", "stop_sequences", "stream", anthropic_wire.BETA})
_OF_TEXT, _OF_IMAGE = frozenset({"type", "text"}), frozenset({"type", "source"})
_OF_RESULT, _OF_TOOL = frozenset({"type", "tool_use_id", "content"}), frozenset({"name", "description", "input_schema"})
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_FINISH = {"stop": "end_turn", "length": "max_tokens", "refused": "refusal", "tools": "tool_use"}


class MessagesWire:
    """`/v1/messages`."""

    dialect = anthropic_wire.DIALECT
    path = "/v1/messages"
    passed: tuple[str, ...] = (anthropic_wire.BETA,)

    def read(self, body: Any, key: str) -> Wanted:
        """A request. Raises Invalid."""
        given = read_object(body, "the body")
        parameters = read_parameters(given, _NUMBERS)
        if "maxTokens" not in parameters:
            raise refused("`max_tokens` is missing")
        if given.get("stop_sequences") is not None:
            parameters["stop"] = read_stop(given["stop_sequences"], "`stop_sequences`")
        messages = _system(given.get("system"))
        for index, item in enumerate(read_list(given.get("messages"), "`messages`")):
            messages += _messages(item, f"messages[{index}]")
        if not given["messages"]:
            raise refused("`messages` is empty")
        request = Request(
            messages=tuple(messages),
            key=key,
            model=read_text(given.get("model") or "", "`model`"),
            schema=_schema(given),
            tools=tuple(_tool(item) for item in read_list(given.get("tools") or [], "`tools`")),
            choice=_choice(given.get("tool_choice")),
            parameters=parameters,
            dialect=self.dialect,
            more={name: value for name, value in given.items() if name not in _KNOWN},
        )
        return Wanted(request=request, is_streamed=given.get("stream") is True)

    def answer(self, answer: Answer, about: About) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": answer.text}] if answer.text else []
        content += [
            {
                "type": "tool_use",
                "id": call.id,
                "name": call.name,
                "input": call.arguments if isinstance(call.arguments, dict) else {"text": call.arguments},
            }
            for call in answer.tool_calls
        ]
        anthropic_wire.put_back(content, _more(answer))
        return {**_head(about), "content": content, **_reason(answer), "usage": _usage(answer)}

    def rendering(self, wanted: Wanted, about: About) -> "MessagesRendering":
        return MessagesRendering(about)

    def refusal(self, status: int, message: str, code: str = "") -> dict[str, Any]:
        return {
            "type": "error",
            "error": {"type": _kind(status), "message": message, **({"code": code} if code else {})},
        }


class MessagesRendering:
    """A streamed answer as blocks of a message, one open at a time."""

    def __init__(self, about: About) -> None:
        self._about = about
        self._block = -1
        self._open: int | None = None
        """The call whose block is open; -1 for the text, -2 for a block that only this wire knows."""
        self._is_begun = False

    def __repr__(self) -> str:
        return f"MessagesRendering({self._about.id}, {self._block + 1} blocks)"

    def chunk(self, chunk: Chunk) -> bytes:
        out = self._begin()
        if isinstance(chunk, Answer):
            return out + self._close() + self._end(chunk)
        if isinstance(chunk, MoreDelta):
            return out + self._own(chunk)
        if isinstance(chunk, TextDelta):
            if self._open != -1:
                out += self._start(-1, {"type": "text", "text": ""})
            return out + self._delta({"type": "text_delta", "text": chunk.text})
        if chunk.name:
            out += self._start(chunk.index, {"type": "tool_use", "id": chunk.id, "name": chunk.name, "input": {}})
        elif chunk.index != self._open:
            raise broken("its tool calls are mixed")
        if chunk.arguments:
            out += self._delta({"type": "input_json_delta", "partial_json": chunk.arguments})
        return out

    def _own(self, chunk: MoreDelta) -> bytes:
        if chunk.dialect != MessagesWire.dialect:
            return b""
        return self._start(-2, chunk.piece["block"]) if "block" in chunk.piece else self._delta(chunk.piece["delta"])

    def _begin(self) -> bytes:
        if self._is_begun:
            return b""
        self._is_begun = True
        usage = {"input_tokens": 0, "output_tokens": 0}
        return _event(
            "message_start", message={**_head(self._about), "content": [], "stop_reason": None, "usage": usage}
        )

    def _start(self, which: int, block: dict[str, Any]) -> bytes:
        out = self._close()
        self._open, self._block = which, self._block + 1
        return out + _event("content_block_start", index=self._block, content_block=block)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._block, delta=delta)

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _event("content_block_stop", index=self._block)

    def _end(self, answer: Answer) -> bytes:
        return _event("message_delta", delta=_reason(answer), usage=_usage(answer)) + _event("message_stop")

    def failed(self, message: str) -> bytes:
        return _event("error", error={"type": "api_error", "message": message})


def _event(name: str, **data: Any) -> bytes:
    return event(name, {"type": name, **data})


def _head(about: About) -> dict[str, Any]:
    return {"id": about.id, "type": "message", "role": "assistant", "model": about.model, "stop_sequence": None}


def _more(answer: Answer) -> dict[str, Any]:
    return answer.more if answer.dialect == MessagesWire.dialect else {}


def _reason(answer: Answer) -> dict[str, Any]:
    stopped = _more(answer).get("stop_sequence")
    if stopped is not None and answer.finish == "stop":
        return {"stop_reason": "stop_sequence", "stop_sequence": stopped}
    return {"stop_reason": _FINISH[answer.finish], "stop_sequence": None}


def _usage(answer: Answer) -> dict[str, Any]:
    into, out, cached = tokens(answer.usage)
    stored = _more(answer).get("stored", 0)
    return {
        "input_tokens": into - cached - stored,
        "cache_creation_input_tokens": stored,
        "cache_read_input_tokens": cached,
        "output_tokens": out,
    }


def _system(value: Any) -> list[Message]:
    if not value:
        return []
    blocks = [{"type": "text", "text": value}] if isinstance(value, str) else read_list(value, "`system`")
    parts = tuple(_text(read_object(block, "`system`"), "`system`") for block in blocks)
    if any(part.more for part in parts):
        return [Message("system", parts)]
    return [Message("system", "\n\n".join(part.text for part in parts))]


def _schema(given: dict[str, Any]) -> Any:
    """What binds the answer: the clients have two spellings of it."""
    form = read_object(given.get("output_config") or {}, "`output_config`").get("format") or given.get("output_format")
    if form is None:
        return None
    if read_object(form, "the format of the output").get("type") != "json_schema":
        raise refused("the format of the output is no json_schema")
    return read_object(form.get("schema"), "the schema of the output")


def _messages(value: Any, where: str) -> list[Message]:
    """One message of the wire: results of tools in it are messages of their own, before the rest."""
    item = read_object(value, where)
    role = item.get("role")
    if role not in ("user", "assistant"):
        raise refused(f"the role of {where} is neither user nor assistant")
    content = item.get("content")
    if isinstance(content, str):
        return [Message(role, content)]
    results: list[Message] = []
    parts: list[Text | Image] = []
    calls: list[ToolCall] = []
    own: list[Any] = []
    for index, piece in enumerate(read_list(content, f"the content of {where}")):
        block = read_object(piece, f"a block of {where}")
        match block.get("type"):
            case "tool_result":
                results.append(_result(block, where))
            case "tool_use":
                name = read_text(block.get("name"), f"a tool_use of {where}")
                calls.append(ToolCall(read_text(block.get("id"), f"a tool_use of {where}"), name, block.get("input")))
            case kind if kind in anthropic_wire.OWN:
                own.append([index, block])
            case _:
                parts.append(_part(block, where))
    more = {anthropic_wire.BLOCKS: own} if own else {}
    said = [Message(role, _plain(parts), tuple(calls), more=more)] if parts or calls or own else []
    return [*results, *said]


def _plain(parts: list[Text | Image]) -> Content:
    """Parts as the port has them: one text that is nothing but text is that text."""
    if len(parts) == 1 and isinstance(parts[0], Text) and not parts[0].more:
        return parts[0].text
    return tuple(parts) or ""


def _text(block: dict[str, Any], where: str) -> Text:
    return Text(read_text(block.get("text"), where), rest(block, _OF_TEXT))


def _part(block: dict[str, Any], where: str) -> Text | Image:
    match block.get("type"):
        case "text":
            return _text(block, f"a block of {where}")
        case "image":
            source, more = read_object(block.get("source"), f"a picture of {where}"), rest(block, _OF_IMAGE)
            if source.get("type") == "url":
                return read_image(source.get("url"), f"a picture of {where}", more)
            if source.get("type") == "base64":
                media = read_text(source.get("media_type"), f"a picture of {where}")
                return Image(media=media, data=read_text(source.get("data"), f"a picture of {where}"), more=more)
            raise refused(f"the source of a picture of {where} is neither base64 nor url")
        case other:
            raise refused(f"a block of {where} is of the type {str(other)[:40]!r}, which is not taken")


def _result(block: dict[str, Any], where: str) -> Message:
    given: Content = block.get("content") or ""
    if not isinstance(given, str):
        given = _plain([_part(read_object(part, f"a result of {where}"), where) for part in read_list(given, where)])
    id = read_text(block.get("tool_use_id"), f"a result of {where}")
    return Message("tool", given, tool_call=id, more=rest(block, _OF_RESULT))


def _tool(value: Any) -> Tool:
    item = read_object(value, "a tool")
    if item.get("type") not in (None, "custom"):
        raise refused(f"a tool is of the type {str(item.get('type'))[:40]!r}; only your own tools are taken")
    more = rest(item, _OF_TOOL)
    return read_tool(item.get("name"), item.get("description"), item.get("input_schema"), "a tool", more)


def _choice(value: Any) -> str:
    if value is None:
        return "auto"
    kind = read_object(value, "`tool_choice`").get("type")
    if kind == "tool":
        return read_text(value.get("name"), "`tool_choice`")
    if kind not in _CHOICES:
        raise refused("`tool_choice` is none of auto, any, tool, none")
    return _CHOICES[kind]


def _kind(status: int) -> str:
    names = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large"}
    names |= {429: "rate_limit_error", 529: "overloaded_error"}
    return names.get(status, "invalid_request_error" if status < 500 else "api_error")
