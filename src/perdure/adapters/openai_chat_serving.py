"""Chat completions as they go over the wire, seen by who answers: requests in, answers and streams out, embeddings too.

Pure. `openai_chat_wire.py` is the other side. What our port has no word for travels on in `Request.more`.
"""

from typing import Any

from perdure.adapters import openai_chat_wire
from perdure.adapters.model_answers import read_arguments, write_arguments
from perdure.adapters.model_reading import (
    event,
    read_image,
    read_list,
    read_number,
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
    Texts,
    Tool,
    ToolCall,
    Vectors,
)
from perdure.ports.model_wire import About, Wanted

_NUMBERS = {
    "temperature": "temperature",
    "top_p": "topP",
    "seed": "seed",
    "max_tokens": "maxTokens",
    "max_completion_tokens": "maxTokens",
}
_KNOWN = frozenset({*_NUMBERS, "model", "messages", "tools", "tool_choice", "stop", "n", "stream", "stream_options"})
_OF_MESSAGE = frozenset({"role", "content", "tool_calls", "tool_call_id"})
_OF_TEXT, _OF_IMAGE = frozenset({"type", "text"}), frozenset({"url"})
_OF_TOOL = frozenset({"name", "description", "parameters"})
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_FINISH = {"stop": "stop", "length": "length", "refused": "content_filter", "tools": "tool_calls"}


class ChatWire:
    """`/v1/chat/completions`."""

    dialect = openai_chat_wire.DIALECT
    path = "/v1/chat/completions"
    passed: tuple[str, ...] = ()

    def read(self, body: Any, key: str) -> Wanted:
        """A request. Raises Invalid."""
        given = read_object(body, "the body")
        if given.get("n") not in (None, 1):
            raise refused("`n` is more than 1; ask several times instead")
        messages = read_list(given.get("messages"), "`messages`")
        if not messages:
            raise refused("`messages` is empty")
        parameters = read_parameters(given, _NUMBERS)
        if given.get("stop") is not None:
            parameters["stop"] = read_stop(given["stop"], "`stop`")
        request = Request(
            messages=tuple(_message(item, f"messages[{index}]") for index, item in enumerate(messages)),
            key=key,
            model=read_text(given.get("model") or "", "`model`"),
            schema=_schema(given.get(openai_chat_wire.FORM)),
            tools=tuple(_tool(item) for item in read_list(given.get("tools") or [], "`tools`")),
            choice=_choice(given.get("tool_choice")),
            parameters=parameters,
            dialect=self.dialect,
            more={name: value for name, value in given.items() if name not in _KNOWN},
        )
        options = read_object(given.get("stream_options") or {}, "`stream_options`")
        is_streamed = given.get("stream") is True
        return Wanted(request=request, is_streamed=is_streamed, has_usage=options.get("include_usage") is True)

    def answer(self, answer: Answer, about: About) -> dict[str, Any]:
        more = answer.more if answer.dialect == self.dialect else {}
        said = {"role": "assistant", "content": answer.text or None, "refusal": None}
        message: dict[str, Any] = {**more.get("message", {}), **said}
        if answer.tool_calls:
            message["tool_calls"] = [_written(call) for call in answer.tool_calls]
        elif more.get("refusal"):
            message |= {"content": None, "refusal": answer.text}
        else:
            message["content"] = answer.text
        finish = _FINISH[answer.finish]
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": more.get("logprobs")}
        head = {"id": about.id, "object": "chat.completion", "created": about.created, "model": about.model}
        return {**head, "choices": [choice], "usage": _usage(answer)}

    def rendering(self, wanted: Wanted, about: About) -> "ChatRendering":
        return ChatRendering(about, has_usage=wanted.has_usage)

    def refusal(self, status: int, message: str, code: str = "") -> dict[str, Any]:
        return {"error": {"message": message, "type": _kind(status), "param": None, "code": code or None}}


class ChatRendering:
    """A streamed answer as chunks of a chat completion."""

    def __init__(self, about: About, *, has_usage: bool) -> None:
        self._head = {
            "id": about.id,
            "object": "chat.completion.chunk",
            "created": about.created,
            "model": about.model,
        }
        self._has_usage = has_usage
        self._is_begun = False

    def __repr__(self) -> str:
        return f"ChatRendering({self._head['id']}, {'begun' if self._is_begun else 'not begun'})"

    def chunk(self, chunk: Chunk) -> bytes:
        if isinstance(chunk, Answer):
            return self._end(chunk)
        if isinstance(chunk, TextDelta):
            return self._piece({"content": chunk.text})
        if isinstance(chunk, MoreDelta):
            own = chunk.dialect == ChatWire.dialect
            return self._piece(chunk.piece["delta"], logprobs=chunk.piece.get("logprobs")) if own else b""
        function = {"arguments": chunk.arguments, **({"name": chunk.name} if chunk.name else {})}
        call: dict[str, Any] = {"index": chunk.index, "function": function}
        if chunk.name:
            call |= {"id": chunk.id, "type": "function"}
        return self._piece({"tool_calls": [call]})

    def _piece(self, delta: dict[str, Any], finish: str | None = None, logprobs: Any = None) -> bytes:
        if not self._is_begun:
            self._is_begun = True
            delta = {"role": "assistant", **delta}
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        if logprobs is not None:
            choice["logprobs"] = logprobs
        return event("", {**self._head, "choices": [choice]})

    def _end(self, answer: Answer) -> bytes:
        last = self._piece({}, _FINISH[answer.finish])
        if self._has_usage:
            last += event("", {**self._head, "choices": [], "usage": _usage(answer)})
        return last + b"data: [DONE]\n\n"

    def failed(self, message: str) -> bytes:
        return event("", {"error": {"message": message, "type": "server_error", "param": None, "code": None}})


class EmbeddingsWire:
    """`/v1/embeddings`."""

    def read(self, body: Any, key: str) -> tuple[Texts, bool]:
        return read_texts(body, key)

    def answer(self, vectors: Vectors, model: str, *, is_base64: bool) -> dict[str, Any]:
        return write_vectors(vectors, model, is_base64=is_base64)


def read_texts(body: Any, key: str) -> tuple[Texts, bool]:
    """A request of `/v1/embeddings`, and whether its vectors are wanted in base64. Raises Invalid."""
    given = read_object(body, "the body")
    wanted = given.get("input")
    texts = [wanted] if isinstance(wanted, str) else read_list(wanted, "`input`")
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise refused("`input` is a text or a list of texts, none of them empty (tokens are not taken)")
    form = given.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise refused("`encoding_format` is `float` or `base64`")
    dimensions = given.get("dimensions")
    made = Texts(
        texts=tuple(texts),
        key=key,
        model=read_text(given.get("model") or "", "`model`"),
        dimensions=None if dimensions is None else int(read_number(dimensions, "`dimensions`")),
    )
    return made, form == "base64"


def write_vectors(vectors: Vectors, model: str, *, is_base64: bool) -> dict[str, Any]:
    """The answer of `/v1/embeddings`."""
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if is_base64 else list(vector)}
        for index, vector in enumerate(vectors.vectors)
    ]
    into = tokens(vectors.usage)[0]
    return {
        "object": "list",
        "data": data,
        "model": model,
        "usage": {"prompt_tokens": into, "total_tokens": into},
    }


def _packed(vector: tuple[float, ...]) -> str:
    import base64  # asked for by few
    import struct

    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _message(value: Any, where: str) -> Message:
    item = read_object(value, where)
    role = item.get("role")
    if role not in _ROLES:
        raise refused(f"the role of {where} is none of {', '.join(_ROLES)}")
    calls = tuple(
        _call(call, f"{where}.tool_calls") for call in read_list(item.get("tool_calls") or [], f"{where}.tool_calls")
    )
    tool_call = read_text(item.get("tool_call_id") or "", f"{where}.tool_call_id")
    if role == "tool" and not tool_call:
        raise refused(f"{where} has no `tool_call_id`")
    more = rest(item, _OF_MESSAGE)
    return Message(_ROLES[role], _content(item.get("content"), where), calls, tool_call, more)  # type: ignore[arg-type]


def _content(value: Any, where: str) -> Content:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    parts: list[Text | Image] = []
    for part in read_list(value, f"the content of {where}"):
        match read_object(part, f"a part of {where}").get("type"):
            case "text":
                parts.append(Text(read_text(part.get("text"), f"a part of {where}"), rest(part, _OF_TEXT)))
            case "refusal":
                parts.append(Text(read_text(part.get("refusal"), f"a part of {where}")))
            case "image_url":
                place = read_object(part.get("image_url"), f"a picture of {where}")
                parts.append(read_image(place.get("url"), f"a picture of {where}", rest(place, _OF_IMAGE)))
            case other:
                raise refused(f"a part of {where} is of the type {str(other)[:40]!r}; text and image_url are taken")
    return tuple(parts)


def _call(value: Any, where: str) -> ToolCall:
    item = read_object(value, where)
    function = read_object(item.get("function"), where)
    arguments = read_arguments(function.get("arguments"))
    return ToolCall(read_text(item.get("id"), f"the id of {where}"), read_text(function.get("name"), where), arguments)


def _tool(value: Any) -> Tool:
    item = read_object(value, "a tool")
    if item.get("type") != "function":
        raise refused(f"a tool is of the type {str(item.get('type'))[:40]!r}; only functions are taken")
    function = read_object(item.get("function"), "a tool")
    more = rest(function, _OF_TOOL)
    return read_tool(function.get("name"), function.get("description"), function.get("parameters"), "a tool", more)


def _choice(value: Any) -> str:
    if value is None or isinstance(value, str):
        if value not in (None, "auto", "required", "none"):
            raise refused("`tool_choice` is none of auto, required, none")
        return value or "auto"
    function = read_object(value, "`tool_choice`").get("function")
    if not isinstance(function, dict):
        raise refused("`tool_choice` is none of auto, required, none, and names no function")
    return read_text(function.get("name"), "`tool_choice`")


def _schema(value: Any) -> Any:
    if value is None:
        return None
    match read_object(value, "`response_format`").get("type"):
        case "text":
            return None
        case "json_object":
            return {"type": "object"}
        case "json_schema":
            form = read_object(value.get("json_schema"), "`response_format`")
            return read_object(form.get("schema"), "`response_format.json_schema.schema`")
        case _:
            raise refused("`response_format` is none of text, json_object, json_schema")


def _written(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": write_arguments(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _usage(answer: Answer) -> dict[str, Any]:
    into, out, cached = tokens(answer.usage)
    told = {
        "prompt_tokens": into,
        "completion_tokens": out,
        "total_tokens": into + out,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    details = answer.more.get("details") if answer.dialect == ChatWire.dialect else None
    return {**told, "completion_tokens_details": details} if details else told


def _kind(status: int) -> str:
    names = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
    return names.get(status, "invalid_request_error" if status < 500 else "server_error")
