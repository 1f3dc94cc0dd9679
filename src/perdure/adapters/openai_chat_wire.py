"""Chat completions as they go over the wire (`/v1/chat/completions`), seen by who asks: request, answer, stream.

Pure. Written from the public API reference; `openai_chat_serving.py` is the other side of the same wire.
"""

from typing import Any

import msgspec

from perdure.adapters import model_answers
from perdure.adapters.model_answers import Gathered
from perdure.adapters.model_endpoint import broken
from perdure.adapters.model_reading import rest
from perdure.language.values import Json
from perdure.ports.model import (
    Answer,
    CallDelta,
    Chunk,
    Content,
    Finish,
    Image,
    Message,
    ModelFailed,
    MoreDelta,
    Request,
    Tool,
    ToolCall,
)

PARAMETERS = {"temperature": "temperature", "topP": "top_p", "seed": "seed", "stop": "stop"}
DONE = "[DONE]"
DIALECT = "chat"
FORM = "response_format"
_SAID = frozenset({"role", "content", "refusal", "tool_calls", "function_call"})


def body(request: Request, model: str, *, is_origin: bool, is_streamed: bool = False) -> dict[str, Any]:
    """The request. The house that defined the format (`is_origin`) renamed a word of it that others kept."""
    own = request.dialect == DIALECT
    wire: dict[str, Any] = {"model": model, "messages": [_message(message, own=own) for message in request.messages]}
    if request.tools:
        wire["tools"] = [{"type": "function", "function": _tool(tool, own=own)} for tool in request.tools]
        if request.choice in ("required", "none"):
            wire["tool_choice"] = request.choice
        elif request.choice != "auto":
            wire["tool_choice"] = {"type": "function", "function": {"name": request.choice}}
    for ours, theirs in PARAMETERS.items():
        if ours in request.parameters:
            wire[theirs] = request.parameters[ours]
    if "maxTokens" in request.parameters:
        wire["max_completion_tokens" if is_origin else "max_tokens"] = request.parameters["maxTokens"]
    if request.schema is not None and not (own and FORM in request.more):
        form = {"name": "answer", "schema": request.schema, "strict": is_strict(request.schema)}
        wire[FORM] = {"type": "json_schema", "json_schema": form}
    if own:
        wire = {**request.more, **wire}
    if is_streamed:
        wire["stream"] = True
        wire["stream_options"] = {"include_usage": True}
    return wire


def answer(wire: Any, model: str) -> Answer:
    """What a whole response says. Raises ModelFailed when it is none."""
    try:
        choice = wire["choices"][0]
        message = choice["message"]
        refusal = message.get("refusal") or ""
        text = message.get("content") or refusal
        reason = "content_filter" if refusal else choice.get("finish_reason")
        calls = tuple(_call(index, call) for index, call in enumerate(message.get("tool_calls") or ()))
        used = _usage(wire.get("usage"), wire.get("model") or model)
        more = _more(rest(message, _SAID), choice.get("logprobs"), wire.get("usage"), is_refusal=bool(refusal))
    except (LookupError, TypeError, AttributeError):
        raise ModelFailed(
            "The model endpoint answered with something that is no chat completion.", failure="communication", sent=True
        ) from None
    if not isinstance(text, str):
        raise ModelFailed(
            "The model endpoint answered with something other than text.", failure="communication", sent=True
        )
    made = model_answers.whole(text, _finish(reason), used, calls)
    return msgspec.structs.replace(made, dialect=DIALECT, more=more) if more else made


def _more(said: dict[str, Any], logprobs: Any, used: Any, *, is_refusal: bool = False) -> dict[str, Any]:
    """Of an answer: `message`, `logprobs`, `details` of the usage, `refusal`, those that are there."""
    details = used.get("completion_tokens_details") if used else None
    if not (said or logprobs or details or is_refusal):
        return {}
    told = {"message": said, "logprobs": logprobs, "details": details, "refusal": is_refusal}
    return {name: value for name, value in told.items() if value}


class Stream:
    """Reads the events of one streamed answer."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._gathered = Gathered()
        self._slots: dict[Any, int] = {}
        self._ids: dict[int, str] = {}
        self._reason: str | None = None
        self._used: Any = None
        self.is_done = False

    def __repr__(self) -> str:
        return f"Stream({self._gathered!r}, finished: {self._reason})"

    def take(self, data: str) -> list[Chunk]:
        """What one event adds. Raises ModelFailed."""
        if self.is_done:
            return []
        if data.strip() == DONE:
            self.is_done = True
            return [self.end()]
        try:
            wire = msgspec.json.decode(data)
            return self._take(wire)
        except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
            raise broken("an event is no piece of a chat completion") from None

    def _take(self, wire: dict[str, Any]) -> list[Chunk]:
        if wire.get("error"):
            error = wire["error"]
            said = error.get("message") if isinstance(error, dict) else error
            raise broken(f"it says {str(said)[:300]!r}", again=self._gathered.is_empty)
        self._used = wire.get("usage") or self._used
        self._model = wire.get("model") or self._model
        chunks: list[Chunk] = []
        for choice in wire.get("choices") or ():
            if choice.get("index", 0) == 0:
                chunks += self._choice(choice)
        return chunks

    def _choice(self, choice: dict[str, Any]) -> list[Chunk]:
        delta = choice.get("delta") or choice.get("message") or {}  # the second of who cannot stream
        has_more = delta.get("content") or delta.get("tool_calls")
        if self._reason is not None and has_more:
            raise broken("more was said after its end")
        chunks: list[Chunk] = [*self._gathered.text(delta.get("content") or "")]
        extra, logprobs = rest(delta, _SAID), choice.get("logprobs")
        if extra or logprobs:
            piece = {"delta": extra, **({"logprobs": logprobs} if logprobs else {})}
            chunks.append(MoreDelta(DIALECT, piece, "".join(text for text in extra.values() if isinstance(text, str))))
        for place, call in enumerate(delta.get("tool_calls") or ()):
            chunks += self._more(call.get("index", place), call)
        if delta.get("refusal"):
            chunks += self._gathered.text(delta["refusal"])
            self._reason = "content_filter"
        self._reason = self._reason or choice.get("finish_reason")
        return chunks

    def _more(self, mark: Any, call: dict[str, Any]) -> list[CallDelta]:
        """A piece of a call. Some endpoints number all calls 0: another id is another call."""
        id, function = call.get("id") or "", call.get("function") or {}
        slot = self._slots.get(mark)
        chunks = []
        if slot is None or (id and self._ids[slot] and id != self._ids[slot]):
            slot = self._slots[mark] = self._gathered.begin(id, function.get("name") or "")
            self._ids[slot] = id
            chunks.append(self._gathered.opened(slot))
        return chunks + self._gathered.more(slot, function.get("arguments") or "")

    def end(self) -> Answer:
        """The whole. ModelFailed when the stream told no end: it was cut."""
        if self._reason is None:
            raise broken("it ended before the answer did")
        made = self._gathered.answer(_finish(self._reason), _usage(self._used, self._model))
        more = _more({}, None, self._used)
        return msgspec.structs.replace(made, dialect=DIALECT, more=more) if more else made


def _finish(reason: Any) -> Finish:
    if reason == "content_filter":
        return "refused"
    return "length" if reason == "length" else "stop"


def _tool(tool: Tool, *, own: bool) -> dict[str, Any]:
    made = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {**tool.more, **made} if own else made


def _message(message: Message, *, own: bool) -> dict[str, Any]:
    more = message.more if own else {}
    wire: dict[str, Any] = {**more, "role": message.role, "content": content(message.content, own=own)}
    if message.tool_calls:
        wire["content"] = wire["content"] or None
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": model_answers.write_arguments(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.role == "tool":
        wire["content"] = message.text
        wire["tool_call_id"] = message.tool_call
    return wire


def content(given: Content, *, own: bool = False) -> str | list[dict[str, Any]]:
    if isinstance(given, str):
        return given
    parts: list[dict[str, Any]] = []
    for part in given:
        more = part.more if own else {}
        if isinstance(part, Image):
            parts.append({"type": "image_url", "image_url": {**more, "url": address(part)}})
        else:
            parts.append({**more, "type": "text", "text": part.text})
    return parts


def address(image: Image) -> str:
    """A picture as an address."""
    return image.uri or f"data:{image.media};base64,{image.data}"


def _call(index: int, wire: dict[str, Any]) -> ToolCall:
    """One call as it came. Some endpoints leave the id out."""
    function = wire["function"]
    if not isinstance(function["name"], str):
        raise TypeError("a tool call without a name")
    arguments = model_answers.read_arguments(function.get("arguments"))
    return ToolCall(str(wire.get("id") or f"call-{index}"), function["name"], arguments)


def _usage(told: Any, model: Any) -> dict[str, Any]:
    told = told or {}
    cached = (told.get("prompt_tokens_details") or {}).get("cached_tokens")
    return model_answers.usage(model, told.get("prompt_tokens"), told.get("completion_tokens"), cached)


def is_strict(schema: Json) -> bool:
    """Whether every object in the schema closes itself and requires all it names, as strict mode asks: one that names nothing
    too."""
    if isinstance(schema, list):
        return all(is_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties", {} if schema.get("type") == "object" else None)
    if isinstance(properties, dict):
        if schema.get("additionalProperties") is not False or set(properties) != set(schema.get("required", ())):
            return False
        if not all(is_strict(item) for item in properties.values()):
            return False
    inner = [schema[key] for key in ("items", "anyOf") if key in schema]
    return all(is_strict(item) for item in (*inner, *schema.get("$defs", {}).values()))
