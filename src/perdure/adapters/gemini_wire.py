"""Generated content as it goes over Gemini's wire (`generateContent`), seen by who asks: request, answer, stream.

Pure. Written from the public API reference. A call's signature of thought travels in its `seal`.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from perdure.adapters import model_answers
from perdure.adapters.model_answers import Gathered
from perdure.adapters.model_endpoint import broken
from perdure.ports.model import Answer, Chunk, Finish, Image, Message, ModelFailed, Request

_PARAMETERS = {
    "temperature": "temperature",
    "topP": "topP",
    "seed": "seed",
    "stop": "stopSequences",
    "maxTokens": "maxOutputTokens",
}
_MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
_REFUSALS = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE"})


def body(request: Request) -> dict[str, Any]:
    """The request; the model is part of the address."""
    wire: dict[str, Any] = {"contents": _contents(message for message in request.messages if message.role != "system")}
    system = [{"text": message.text} for message in request.messages if message.role == "system"]
    if system:
        wire["systemInstruction"] = {"parts": system}
    if request.tools:
        wire["tools"] = [
            {
                "functionDeclarations": [
                    {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters}
                    for tool in request.tools
                ]
            }
        ]
        if request.choice != "auto":
            mode = _MODES.get(request.choice)
            chosen = {"mode": mode} if mode else {"mode": "ANY", "allowedFunctionNames": [request.choice]}
            wire["toolConfig"] = {"functionCallingConfig": chosen}
    config = {theirs: request.parameters[ours] for ours, theirs in _PARAMETERS.items() if ours in request.parameters}
    if request.schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": request.schema}
    if config:
        wire["generationConfig"] = config
    return wire


def answer(wire: Any, model: str) -> Answer:
    """What a whole response says. Raises ModelFailed when it is none."""
    reading = Stream(model)
    try:
        reading.add(wire)
    except (LookupError, TypeError, AttributeError):
        raise ModelFailed(
            "The model endpoint answered with something that is no generated content.",
            failure="communication",
            sent=True,
        ) from None
    return reading.end()


class Stream:
    """Reads the events of one streamed answer: each is a response of its own with more of the parts."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._gathered = Gathered()
        self._reason: str | None = None
        self._used: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Stream({self._gathered!r}, finished: {self._reason})"

    def take(self, data: str) -> list[Chunk]:
        """What one event adds. Raises ModelFailed."""
        try:
            return self.add(msgspec.json.decode(data))
        except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
            raise broken("an event is no piece of generated content") from None

    def add(self, wire: dict[str, Any]) -> list[Chunk]:
        """What one response adds."""
        if wire.get("error"):
            raise broken(f"it says {str(wire['error'].get('message'))[:300]!r}", again=self._gathered.is_empty)
        self._model = wire.get("modelVersion") or self._model
        self._used = wire.get("usageMetadata") or self._used
        if (wire.get("promptFeedback") or {}).get("blockReason"):
            self._reason = "SAFETY"
        chunks: list[Chunk] = []
        for candidate in wire.get("candidates") or ():
            if candidate.get("index", 0) == 0:
                for part in (candidate.get("content") or {}).get("parts") or ():
                    chunks += self._part(part)
                self._reason = candidate.get("finishReason") or self._reason
        return chunks

    def _part(self, part: dict[str, Any]) -> list[Chunk]:
        if part.get("thought"):
            return []
        if "functionCall" in part:
            if self._reason is not None:
                raise broken("more was said after its end")
            call = part["functionCall"]
            index = self._gathered.begin(call.get("id") or "", call["name"], part.get("thoughtSignature") or "")
            written = model_answers.write_arguments(call.get("args") or {})
            return [self._gathered.opened(index), *self._gathered.more(index, written)]
        if part.get("text") and self._reason is not None:
            raise broken("more was said after its end")
        return [*self._gathered.text(part.get("text") or "")]

    def end(self) -> Answer:
        """The whole. ModelFailed when the stream told no end: it was cut."""
        if self._reason is None:
            raise broken("it ended before the answer did")
        return self._gathered.answer(_finish(self._reason), _usage(self._used, self._model))


def _finish(reason: str) -> Finish:
    if reason == "MALFORMED_FUNCTION_CALL":
        raise broken("the model made a tool call that is none", again=True)
    if reason in _REFUSALS:
        return "refused"
    return "length" if reason == "MAX_TOKENS" else "stop"


def _usage(told: dict[str, Any], model: Any) -> dict[str, Any]:
    """Thoughts are paid for like what is said."""
    out = model_answers.number(told.get("candidatesTokenCount")) + model_answers.number(told.get("thoughtsTokenCount"))
    return model_answers.usage(model, told.get("promptTokenCount"), out, told.get("cachedContentTokenCount"))


def _contents(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Neighbours of one role are one content; a result of a tool names its function, not its call."""
    made: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in messages:
        names |= {call.id: call.name for call in message.tool_calls}
        role = "model" if message.role == "assistant" else "user"
        if not made or made[-1]["role"] != role:
            made.append({"role": role, "parts": []})
        made[-1]["parts"] += _parts(message, names)
    for content in made:
        content["parts"] = content["parts"] or [{"text": ""}]
    return made


def _parts(message: Message, names: dict[str, str]) -> list[dict[str, Any]]:
    if message.role == "tool":
        result = {"name": names.get(message.tool_call, message.tool_call), "response": {"result": message.text}}
        return [{"functionResponse": result}]
    parts: list[dict[str, Any]] = []
    if isinstance(message.content, str):
        if message.content:
            parts.append({"text": message.content})
    else:
        parts += [_image(part) if isinstance(part, Image) else {"text": part.text} for part in message.content]
    for call in message.tool_calls:
        given = call.arguments if isinstance(call.arguments, dict) else {"text": call.arguments}
        wire: dict[str, Any] = {"functionCall": {"name": call.name, "args": given}}
        if call.seal:
            wire["thoughtSignature"] = call.seal
        parts.append(wire)
    return parts


def _image(image: Image) -> dict[str, Any]:
    if image.uri:
        return {"fileData": {"fileUri": image.uri, **({"mimeType": image.media} if image.media else {})}}
    return {"inlineData": {"mimeType": image.media, "data": image.data}}
