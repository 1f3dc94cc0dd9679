"""Chats as they go over Ollama's own wire (`/api/chat`), seen by who asks: request, answer, stream of lines.

Pure. Written from the public API reference. Its own wire and not the OpenAI-compatible one, because only this one binds
an answer to a schema (`format`) on every version and tells when a model was cut.
"""

from typing import Any

import msgspec

from perdure.adapters import model_answers
from perdure.adapters.model_answers import Gathered
from perdure.adapters.model_endpoint import broken
from perdure.ports.model import Answer, Chunk, Image, Message, ModelFailed, Request

_OPTIONS = {"temperature": "temperature", "topP": "top_p", "seed": "seed", "stop": "stop", "maxTokens": "num_predict"}


def body(request: Request, model: str, *, is_streamed: bool = False) -> dict[str, Any]:
    """The request. Which tool to call cannot be told on this wire; `none` leaves them out."""
    wire: dict[str, Any] = {"model": model, "messages": _messages(request.messages), "stream": is_streamed}
    if request.tools and request.choice != "none":
        wire["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in request.tools
        ]
    options = {theirs: request.parameters[ours] for ours, theirs in _OPTIONS.items() if ours in request.parameters}
    if options:
        wire["options"] = options
    if request.schema is not None:
        wire["format"] = request.schema
    return wire


def answer(wire: Any, model: str) -> Answer:
    """What a whole response says. Raises ModelFailed when it is none."""
    reading = Stream(model)
    try:
        reading.add(wire)
    except (LookupError, TypeError, AttributeError):
        raise ModelFailed(
            "The model endpoint answered with something that is no chat.", failure="communication", sent=True
        ) from None
    return reading.end()


class Stream:
    """Reads the lines of one streamed answer."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._gathered = Gathered()
        self._last: dict[str, Any] = {}
        self.is_done = False

    def __repr__(self) -> str:
        return f"Stream({self._gathered!r}, done: {self.is_done})"

    def take(self, line: bytes) -> list[Chunk]:
        """What one line adds. Raises ModelFailed."""
        if self.is_done or not line.strip():
            return []
        try:
            return self.add(msgspec.json.decode(line))
        except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
            raise broken("a line is no piece of a chat") from None

    def add(self, wire: dict[str, Any]) -> list[Chunk]:
        """What one response adds."""
        if wire.get("error"):
            raise broken(f"it says {str(wire['error'])[:300]!r}", again=self._gathered.is_empty)
        message = wire["message"]
        chunks: list[Chunk] = [*self._gathered.text(message.get("content") or "")]
        for call in message.get("tool_calls") or ():
            index = self._gathered.begin(call.get("id") or "", call["function"]["name"])
            written = model_answers.write_arguments(call["function"].get("arguments") or {})
            chunks += [self._gathered.opened(index), *self._gathered.more(index, written)]
        if wire.get("done"):
            self.is_done, self._last = True, wire
        return chunks

    def end(self) -> Answer:
        """The whole. ModelFailed when the stream told no end: it was cut."""
        if not self.is_done:
            raise broken("it ended before the answer did")
        last = self._last
        used = model_answers.usage(
            last.get("model") or self._model, last.get("prompt_eval_count"), last.get("eval_count")
        )
        return self._gathered.answer("length" if last.get("done_reason") == "length" else "stop", used)


def _messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    names: dict[str, str] = {}
    made = []
    for message in messages:
        wire: dict[str, Any] = {"role": message.role, "content": message.text}
        if message.tool_calls:
            names |= {call.id: call.name for call in message.tool_calls}
            wire["tool_calls"] = [
                {
                    "function": {
                        "name": call.name,
                        "arguments": call.arguments if isinstance(call.arguments, dict) else {},
                    }
                }
                for call in message.tool_calls
            ]
        if message.role == "tool":
            wire["tool_name"] = names.get(message.tool_call, "")
        images = [_image(part) for part in message.content if isinstance(part, Image)]
        if images:
            wire["images"] = images
        made.append(wire)
    return made


def _image(image: Image) -> str:
    if image.uri:
        raise ModelFailed(
            "This provider of models takes images as data only, not by their address.", failure="configuration"
        )
    return image.data
