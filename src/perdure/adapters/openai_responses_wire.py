"""Responses as they go over the wire (`/v1/responses`), seen by who asks: request, answer, stream.

Pure. Written from the public API reference. Nothing is stored at the provider: a conversation is sent whole each time.
"""

from typing import Any

import msgspec

from perdure.adapters import model_answers
from perdure.adapters.model_answers import Gathered
from perdure.adapters.model_endpoint import broken
from perdure.adapters.openai_chat_wire import address, is_strict
from perdure.ports.model import Answer, CallDelta, Chunk, Finish, Image, Message, ModelFailed, Request, Tool, ToolCall

DIALECT = "responses"
_PARAMETERS = {"temperature": "temperature", "topP": "top_p", "maxTokens": "max_output_tokens"}


def body(request: Request, model: str, *, is_streamed: bool = False) -> dict[str, Any]:
    """The request. `seed` and `stop` do not exist on this wire."""
    own = request.dialect == DIALECT
    wire: dict[str, Any] = {
        "model": model,
        "input": [item for message in request.messages for item in _items(message, own=own)],
        "store": False,
    }
    if request.tools:
        wire["tools"] = [
            {"strict": False, **(tool.more if own else {}), "type": "function", **_told(tool)} for tool in request.tools
        ]
        if request.choice in ("required", "none"):
            wire["tool_choice"] = request.choice
        elif request.choice != "auto":
            wire["tool_choice"] = {"type": "function", "name": request.choice}
    for ours, theirs in _PARAMETERS.items():
        if ours in request.parameters:
            wire[theirs] = request.parameters[ours]
    if request.schema is not None and not (own and "text" in request.more):
        form = {"type": "json_schema", "name": "answer", "schema": request.schema, "strict": is_strict(request.schema)}
        wire["text"] = {"format": form}
    if own:
        wire = {**request.more, **wire}
    if is_streamed:
        wire["stream"] = True
    return wire


def answer(wire: Any, model: str) -> Answer:
    """What a whole response says. Raises ModelFailed when it is none, or when it says that it failed."""
    try:
        if wire.get("status") == "failed" or wire.get("error"):
            raise _failed(wire, again=False)
        items = wire["output"]
        text, is_refused = _text(items)
        calls = tuple(
            ToolCall(item["call_id"], item["name"], model_answers.read_arguments(item.get("arguments")))
            for item in items
            if item["type"] == "function_call"
        )
        finish: Finish = "refused" if is_refused else _finish(wire)
        used = _usage(wire.get("usage") or {}, wire.get("model") or model)
    except (LookupError, TypeError, AttributeError):
        raise ModelFailed(
            "The model endpoint answered with something that is no response.", failure="communication", sent=True
        ) from None
    return model_answers.whole(text, finish, used, calls)


class Stream:
    """Reads the events of one streamed answer. Numbered events that come again are passed over; in the end the pieces
    must be what the last event says that the whole is."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._gathered = Gathered()
        self._slots: dict[Any, int] = {}
        self._last = -1
        self.is_done = False

    def __repr__(self) -> str:
        return f"Stream({self._gathered!r}, last event {self._last})"

    def take(self, data: str) -> list[Chunk]:
        """What one event adds. Raises ModelFailed."""
        if self.is_done or data.strip() == "[DONE]":
            return []
        try:
            wire = msgspec.json.decode(data)
            number = wire.get("sequence_number")
            if isinstance(number, int):
                if number <= self._last:
                    return []
                self._last = number
            return self._take(wire)
        except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
            raise broken("an event is no piece of a response") from None

    def _take(self, wire: dict[str, Any]) -> list[Chunk]:
        match wire["type"]:
            case "response.output_text.delta" | "response.refusal.delta":
                return [*self._gathered.text(wire["delta"])]
            case "response.output_item.added" if wire["item"]["type"] == "function_call":
                slot = self._gathered.begin(wire["item"]["call_id"], wire["item"]["name"])
                self._slots[wire["output_index"]] = slot
                return [self._gathered.opened(slot)]
            case "response.function_call_arguments.delta":
                more: list[CallDelta] = self._gathered.more(self._slots[wire["output_index"]], wire["delta"])
                return [*more]
            case "response.completed" | "response.incomplete":
                self.is_done = True
                return [self._whole(wire["response"])]
            case "response.failed":
                raise _failed(wire["response"], again=self._gathered.is_empty)
            case "error":
                raise _failed({"error": wire}, again=self._gathered.is_empty)
        return []

    def _whole(self, response: dict[str, Any]) -> Answer:
        if not response.get("output"):
            used = _usage(response.get("usage") or {}, response.get("model") or self._model)
            return self._gathered.answer(_finish(response), used)
        whole = answer(response, self._model)
        pieces = [model_answers.read_arguments(self._gathered.written(slot)) for slot in sorted(self._slots.values())]
        if self._gathered.said != whole.text or pieces != [call.arguments for call in whole.tool_calls]:
            raise broken("its pieces are not what it says the whole is")
        return whole

    def end(self) -> Answer:
        """ModelFailed: the last event of this wire is the whole, and it did not come."""
        raise broken("it ended before the answer did")


def _failed(wire: dict[str, Any], *, again: bool) -> ModelFailed:
    error = wire.get("error") or {}
    said = error.get("message") if isinstance(error, dict) else error
    return broken(f"it says {str(said)[:300]!r}", again=again)


def _finish(wire: dict[str, Any]) -> Finish:
    if wire.get("status") != "incomplete":
        return "stop"
    return "refused" if (wire.get("incomplete_details") or {}).get("reason") == "content_filter" else "length"


def _text(items: list[dict[str, Any]]) -> tuple[str, bool]:
    parts = [part for item in items if item["type"] == "message" for part in item["content"]]
    text = "".join(part["text"] if part["type"] == "output_text" else part.get("refusal", "") for part in parts)
    return text, any(part["type"] == "refusal" for part in parts)


def _usage(told: dict[str, Any], model: Any) -> dict[str, Any]:
    cached = (told.get("input_tokens_details") or {}).get("cached_tokens")
    return model_answers.usage(model, told.get("input_tokens"), told.get("output_tokens"), cached)


def _told(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}


def _items(message: Message, *, own: bool) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"type": "function_call_output", "call_id": message.tool_call, "output": message.text}]
    if message.role != "assistant":
        return [{"role": message.role, "content": _content(message, own=own)}]
    items: list[dict[str, Any]] = [{"role": "assistant", "content": message.text}] if message.text else []
    for call in message.tool_calls:
        written = model_answers.write_arguments(call.arguments)
        items.append({"type": "function_call", "call_id": call.id, "name": call.name, "arguments": written})
    return items


def _content(message: Message, *, own: bool) -> str | list[dict[str, Any]]:
    if isinstance(message.content, str):
        return message.content
    return [
        {**(part.more if own else {}), "type": "input_image", "image_url": address(part)}
        if isinstance(part, Image)
        else {"type": "input_text", "text": part.text}
        for part in message.content
    ]
