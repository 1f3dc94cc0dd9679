"""`model`: one request to a language model with its tools, the building block of `agent` (language.md 5.3).

Documents ask with `infer`; this is the step that the machine makes of each turn. It decides nothing: what the model
wants done comes back as data.
"""

from typing import Any

import msgspec

from perdure.functions.images import IMAGES, read_images
from perdure.functions.model_providers import TIMEOUT, Providers, refuse
from perdure.interpreter import handles
from perdure.interpreter.agent_arguments import ANSWER, PARAMETERS
from perdure.interpreter.agent_messages import cut
from perdure.language.schemas import Schema
from perdure.language.values import Json
from perdure.ports import model as port
from perdure.ports.function import Context, Effect, Result

_call = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string"},
        "arguments": {},
        "seal": {"type": "string", "description": "What the provider wants to see again with this call."},
    },
    "required": ["id", "name", "arguments"],
}
_INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "messages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "role": {"enum": ["system", "user", "assistant", "tool"]},
                    "content": {"type": "string"},
                    "images": IMAGES,
                    "toolCalls": {"type": "array", "items": _call},
                    "toolCall": {"type": "string"},
                },
                "required": ["role", "content"],
                "additionalProperties": False,
            },
        },
        "tools": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "parameters": {"type": "object"},
                },
                "required": ["name", "description", "parameters"],
                "additionalProperties": False,
            },
        },
        "output": {"type": ["object", "boolean"], "description": "JSON Schema asked for; the answer is not checked."},
        "model": {"type": "string", "minLength": 1},
        "provider": {"type": "string", "minLength": 1},
        "parameters": PARAMETERS,
        "stream": {"type": "boolean", "description": "Report the text as it comes as progress of the call."},
    },
    "required": ["messages"],
    "additionalProperties": False,
}


class Model:
    """Ask a model once. `models` are all behind one face, `providers` the names that a call may give."""

    name = "model"
    version = "1.0.0"
    effect: Effect = "idempotent"
    summary = "One request to a language model, as a turn of an agent; what it wants done comes back as data."
    input_schema = _INPUT
    output_schema: dict[str, Any] = ANSWER

    def __init__(self, providers: Providers) -> None:
        self._providers = providers
        self._arguments = Schema(_INPUT)

    async def execute(self, arguments: Json, context: Context) -> Json | Result:
        """`{text, toolCalls, finish}`. Faults: `validation` (arguments), `authorization` (a secret in the prompt),
        `configuration`, `authentication`, `communication`, `timeout`, and `BUDGET` of `model_providers`."""
        if handles.MARK in msgspec.json.encode(arguments):  # a long conversation is walked only when there is need
            if handles.has_secret(arguments):
                detail = "A secret never enters a model's prompt. Leave it out of the arguments of model."
                refuse("authorization", detail)
            arguments = handles.restore(arguments)
        violation = self._arguments.violation(arguments)
        if violation:
            refuse("validation", f"The arguments of model do not fit: {violation}")
        told = context.progress if arguments.get("stream") else None
        answer = await self._providers.ask(arguments.get("provider"), _request(arguments, context.key), context, told)
        calls = [msgspec.to_builtins(call) for call in answer.tool_calls]
        return Result({"text": answer.text, "toolCalls": calls, "finish": answer.finish}, answer.usage)

    def effect_of(self, arguments: Json, resources: dict[str, Json]) -> Effect:
        """Always `idempotent`: the key goes with the request, and asking again changes nothing but the bill."""
        return self.effect

    def __repr__(self) -> str:
        return f"Model({self._providers!r})"


def _request(arguments: dict[str, Any], key: str) -> port.Request:
    return port.Request(
        messages=tuple(_message(message) for message in arguments["messages"]),
        key=key,
        model=arguments.get("model", ""),
        schema=arguments.get("output"),
        tools=tuple(_tool(tool) for tool in arguments.get("tools", ())),
        parameters={"temperature": 0, **arguments.get("parameters", {})},
        timeout=TIMEOUT,
    )


def _tool(tool: dict[str, Any]) -> port.Tool:
    """What is told of a tool may come from elsewhere, as its results do: it is as long as these at most."""
    return port.Tool(tool["name"], cut(tool["description"]), tool["parameters"])


def _message(message: dict[str, Any]) -> port.Message:
    calls = tuple(msgspec.convert(call, port.ToolCall) for call in message.get("toolCalls", ()))
    content: port.Content = message["content"]
    if "images" in message:
        content = (port.Text(message["content"]), *read_images(message["images"]))
    return port.Message(message["role"], content, calls, message.get("toolCall", ""))
