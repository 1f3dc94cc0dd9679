"""Calls of tools by the local model: a request that offers tools becomes one whose answer is JSON of a known form.

Pure. A model this small has not learnt to call tools, so a grammar holds it to one of two things: a call whose arguments
fit the tool's schema, or an answer that fits `response_format`. It is told in few words, and in the same form, what was
called before.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from perdure.adapters.local_model_answers import Compute, ComputeStream
from perdure.adapters.model_reading import refused
from perdure.adapters.openai_chat_serving import ChatWire
from perdure.errors import Invalid
from perdure.language.values import Json
from perdure.ports.model import Image, Request, Tool

_OF_TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
_FREE = {"type": "object"}
_LONGEST_DESCRIPTION = 300
_FINISH = "finish"
"""What the model calls its answer. Beside a question, the word "answer" is too near: it would be chosen at once."""


def whole(compute: Compute) -> Compute:
    """As `compute`, for requests with tools too."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if not concerns(request):
            return compute(request)
        try:
            asked = ChatWire().read(request, "").request
            made = compute(rewritten(request, asked))
        except Invalid as error:
            return {"error": {"message": str(error), "code": 400}}
        return read(made, asked) if "choices" in made and chosen(asked) else made

    return answer


def streamed(compute: Compute, stream: ComputeStream) -> ComputeStream:
    """As `stream`. An answer to a request with tools is told in one piece when it is there: before, it is half a call."""
    complete = whole(compute)
    return lambda request, told: complete(request) if concerns(request) else stream(request, told)


def concerns(request: dict[str, Any]) -> bool:
    """Whether tools are offered or wanted, or calls of tools were made before."""
    messages = [message for message in request["messages"] if isinstance(message, dict)]
    if request.get("tools") or request.get("tool_choice") not in (None, "auto", "none"):
        return True
    return any("tool_calls" in one or one.get("role") == "tool" for one in messages)


def chosen(asked: Request) -> tuple[Tool, ...]:
    """The tools that this answer may call. Raises Invalid when one is to be called that there is not."""
    if asked.choice == "none":
        return ()
    if asked.choice in ("auto", "required"):
        if asked.choice == "required" and not asked.tools:
            raise refused("`tool_choice` is required, and there are no tools")
        return asked.tools
    named = tuple(tool for tool in asked.tools if tool.name == asked.choice)
    if not named:
        raise refused(f"`tool_choice` names {asked.choice[:80]!r}, which is none of the tools")
    return named


def rewritten(request: dict[str, Any], asked: Request) -> dict[str, Any]:
    """The request without tools: they stand in its words, and in the schema that the answer must fit."""
    tools = chosen(asked)
    if any(isinstance(part, Image) for message in asked.messages for part in message.content):
        raise refused("this model sees no pictures")
    plain = {key: value for key, value in request.items() if key not in _OF_TOOLS}
    messages = list(_told(asked, has_form=bool(tools)))
    if not tools:
        return {**plain, "messages": messages}
    if messages[0]["role"] == "system":
        messages[0]["content"] += "\n" + _shown(tools, asked)
    else:
        messages.insert(0, {"role": "system", "content": _shown(tools, asked)})
    form = {"name": "turn", "schema": form_of(tools, asked), "strict": True}
    return {**plain, "messages": messages, "response_format": {"type": "json_schema", "json_schema": form}}


def form_of(tools: tuple[Tool, ...], asked: Request) -> dict[str, Any]:
    """The JSON Schema of one turn: a call of one of the tools, or, unless a call is wanted, the answer."""
    kept: dict[str, Json] = {}
    forms = []
    for number, tool in enumerate(tools):
        schema = {"const": {}} if _is_bare(tool) else _kept(tool.parameters or _FREE, f"tool{number}", kept)
        forms.append(_only(tool.name, schema))
    if asked.choice == "auto":
        schema = {"type": "string"} if asked.schema is None else _kept(asked.schema, "answer", kept)
        forms.append(_only(_finish_of(asked), schema))
    return {"anyOf": forms, **({"$defs": kept} if kept else {})}


def _only(key: str, schema: Json) -> dict[str, Json]:
    return {"type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": False}


def _finish_of(asked: Request) -> str:
    """The key of the answer: no tool has this name."""
    key = _FINISH
    while any(tool.name == key for tool in asked.tools):
        key = f"the {key}"
    return key


def _is_bare(tool: Tool) -> bool:
    """Whether a tool takes nothing."""
    return tool.parameters.get("properties") == {} and tool.parameters.get("additionalProperties") is not True


def _kept(schema: Json, name: str, kept: dict[str, Json]) -> Json:
    """A schema at its new place. One that points into itself stands under `$defs`, and so do its pointers."""
    if b'"$ref"' not in msgspec.json.encode(schema):
        return schema
    kept[name] = _pointed(schema, f"#/$defs/{name}")
    return {"$ref": f"#/$defs/{name}"}


def _pointed(schema: Json, place: str) -> Json:
    if isinstance(schema, list):
        return [_pointed(item, place) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _pointed(value, place) for key, value in schema.items()}
    pointer = made.get("$ref")
    if isinstance(pointer, str) and pointer.startswith("#"):
        made["$ref"] = place + pointer[1:]
    return made


def _shown(tools: tuple[Tool, ...], asked: Request) -> str:
    """What a small model is told of its tools. The names of their arguments come by the grammar."""
    lines = ["Reply with one JSON object, one of these:"]
    lines += [f"{tool.name}: {tool.description[:_LONGEST_DESCRIPTION]}".rstrip() for tool in tools]
    if asked.choice == "auto":
        lines.append(_written({_finish_of(asked): "..."}) + " The answer, when you know it.")
    return "\n".join(lines)


def _told(asked: Request, *, has_form: bool) -> Iterable[dict[str, Any]]:
    """The conversation without calls of tools: each stands in words, what the model said in the form of its next turn."""
    names: dict[str, str] = {}
    for message in asked.messages:
        if message.role == "tool":
            yield {"role": "user", "content": f"{names.get(message.tool_call, 'The tool')} gave: {message.text}"}
            continue
        said = [message.text] if message.text or not message.tool_calls else []
        if has_form and message.role == "assistant" and said:
            said = [_written({_finish_of(asked): _value(message.text)})]
        for call in message.tool_calls:
            names[call.id] = call.name
            said.append(_written({call.name: call.arguments}))
        yield {"role": message.role, "content": "\n".join(said)}


def _value(text: str) -> Json:
    """An earlier answer: the object that it spells, or else the text."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return value if isinstance(value, dict) else text


def read(body: dict[str, Any], asked: Request) -> dict[str, Any]:
    """The response in the words of chat completions: with `tool_calls`, or with the answer as its content."""
    choice = body["choices"][0]
    text = choice["message"].get("content") or ""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    finish = choice["finish_reason"]
    said = _turn(text)
    if said is None:  # it was cut
        message["content"] = _half(text, asked)
    elif said[0] == _finish_of(asked):
        message["content"] = said[1] if asked.schema is None else _written(said[1])
    else:
        earlier = sum(len(one.tool_calls) for one in asked.messages)
        function = {"name": said[0], "arguments": _written(said[1])}
        message["tool_calls"] = [{"id": f"call-{earlier + 1}", "type": "function", "function": function}]
        finish = "tool_calls"
    return {**body, "choices": [{**choice, "message": message, "finish_reason": finish}]}


def _turn(text: str) -> tuple[str, Json] | None:
    """What the model chose, and the arguments or the answer."""
    try:
        turn = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return next(iter(turn.items())) if isinstance(turn, dict) and len(turn) == 1 else None


def _half(text: str, asked: Request) -> str:
    """What there is of an answer that was cut. Half a call is nothing that could be done."""
    begun = re.match(rf'\s*\{{\s*"{_finish_of(asked)}"\s*:\s*', text)
    if begun is None:
        return ""
    said = text[begun.end() :]
    if asked.schema is not None:
        return said
    for end in range(len(said), max(len(said) - 12, 0), -1):  # it may have been cut within an escape
        try:
            return str(msgspec.json.decode(said[:end] + '"'))
        except msgspec.DecodeError:
            continue
    return ""


def _written(value: Json) -> str:
    """JSON as models are used to read it: with a space after a colon and a comma."""
    return json.dumps(value, ensure_ascii=False)
