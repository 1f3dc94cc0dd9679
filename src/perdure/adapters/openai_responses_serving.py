"""Responses as they go over the wire, seen by who answers: requests in, answers and numbered streams out.

Pure. `openai_responses_wire.py` is the other side. Nothing is stored, so nothing that was said before can be referred to.
"""

from typing import Any

from perdure.adapters import openai_responses_wire
from perdure.adapters.model_answers import read_arguments, write_arguments
from perdure.adapters.model_reading import (
    event,
    read_image,
    read_list,
    read_object,
    read_parameters,
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

_NUMBERS = {"temperature": "temperature", "top_p": "topP", "max_output_tokens": "maxTokens"}
_KNOWN = frozenset({*_NUMBERS, "model", "input", "instructions", "tools", "tool_choice", "stream", "store"})
_OF_IMAGE = frozenset({"type", "image_url"})
_OF_TOOL = frozenset({"type", "name", "description", "parameters"})
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class ResponsesWire:
    """`/v1/responses`."""

    dialect = openai_responses_wire.DIALECT
    path = "/v1/responses"
    passed: tuple[str, ...] = ()

    def read(self, body: Any, key: str) -> Wanted:
        """A request. Raises Invalid."""
        given = read_object(body, "the body")
        for name in ("previous_response_id", "conversation", "background"):
            if given.get(name):
                raise refused(f"`{name}` is not taken: nothing is stored here; send the whole conversation")
        messages = _messages(given)
        if not messages:
            raise refused("`input` is empty")
        text = read_object(given.get("text") or {}, "`text`")
        request = Request(
            messages=tuple(messages),
            key=key,
            model=read_text(given.get("model") or "", "`model`"),
            schema=_schema(text.get("format")),
            tools=tuple(_tool(item) for item in read_list(given.get("tools") or [], "`tools`")),
            choice=_choice(given.get("tool_choice")),
            parameters=read_parameters(given, _NUMBERS),
            dialect=self.dialect,
            more={name: value for name, value in given.items() if name not in _KNOWN},
        )
        return Wanted(request=request, is_streamed=given.get("stream") is True)

    def answer(self, answer: Answer, about: About) -> dict[str, Any]:
        items = [_text_item(about, answer)] if answer.text or not answer.tool_calls else []
        items += [_call_item(index, call) for index, call in enumerate(answer.tool_calls)]
        status = "completed" if answer.finish in ("stop", "tools", "refused") else "incomplete"
        reason = None if status == "completed" else {"reason": "max_output_tokens"}
        return _response(about, status, items, incomplete_details=reason, usage=_usage(answer))

    def rendering(self, wanted: Wanted, about: About) -> "ResponsesRendering":
        return ResponsesRendering(self, about)

    def refusal(self, status: int, message: str, code: str = "") -> dict[str, Any]:
        kind = "invalid_request_error" if status < 500 else "server_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": code or None}}


class ResponsesRendering:
    """A streamed answer as numbered events."""

    def __init__(self, wire: ResponsesWire, about: About) -> None:
        self._wire = wire
        self._about = about
        self._number = 0
        self._items: list[tuple[str, int]] = []
        """Kind of each output item, and which call it is."""
        self._is_begun = False

    def __repr__(self) -> str:
        return f"ResponsesRendering({self._about.id}, {self._number} events)"

    def chunk(self, chunk: Chunk) -> bytes:
        out = self._begin()
        if isinstance(chunk, Answer):
            return out + self._end(chunk)
        if isinstance(chunk, MoreDelta):
            return out  # of other wires
        if isinstance(chunk, TextDelta):
            if ("text", 0) not in self._items:
                out += self._open_text()
            place = {"output_index": self._items.index(("text", 0)), "item_id": _text_id(self._about)}
            return out + self._event(
                "response.output_text.delta", **place, content_index=0, delta=chunk.text, logprobs=[]
            )
        if chunk.name:
            self._items.append(("call", chunk.index))
            item = {**_call_item(chunk.index, ToolCall(chunk.id, chunk.name, "")), "status": "in_progress"}
            out += self._event("response.output_item.added", output_index=len(self._items) - 1, item=item)
        if chunk.arguments:
            place = {"output_index": self._items.index(("call", chunk.index)), "item_id": f"fc_{chunk.index}"}
            out += self._event("response.function_call_arguments.delta", **place, delta=chunk.arguments)
        return out

    def _event(self, name: str, **data: Any) -> bytes:
        made = event(name, {"type": name, "sequence_number": self._number, **data})
        self._number += 1
        return made

    def _begin(self) -> bytes:
        if self._is_begun:
            return b""
        self._is_begun = True
        response = _response(self._about, "in_progress", [], usage=None)
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def _open_text(self) -> bytes:
        self._items.append(("text", 0))
        index = len(self._items) - 1
        item = {"type": "message", "id": _text_id(self._about), "status": "in_progress", "role": "assistant"}
        part = {"type": "output_text", "text": "", "annotations": []}
        added = self._event("response.output_item.added", output_index=index, item={**item, "content": []})
        return added + self._event(
            "response.content_part.added", item_id=item["id"], output_index=index, content_index=0, part=part
        )

    def _end(self, answer: Answer) -> bytes:
        """Every item is told whole, in the order in which they began, and then the response."""
        out = b""
        whole = self._wire.answer(answer, self._about)
        calls = [item for item in whole["output"] if item["type"] == "function_call"]
        made = {("call", index): item for index, item in enumerate(calls)}
        if answer.text:
            made["text", 0] = _text_item(self._about, answer)
        whole["output"] = [made[kind] for kind in self._items]
        for index, item in enumerate(whole["output"]):
            out += self._done(index, item)
        name = "response.completed" if whole["status"] == "completed" else "response.incomplete"
        return out + self._event(name, response=whole)

    def _done(self, index: int, item: dict[str, Any]) -> bytes:
        place = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "function_call":
            out = self._event("response.function_call_arguments.done", **place, arguments=item["arguments"])
        else:
            part = item["content"][0]
            text = part.get("text", part.get("refusal"))
            out = self._event("response.output_text.done", **place, content_index=0, text=text, logprobs=[])
            out += self._event("response.content_part.done", **place, content_index=0, part=part)
        return out + self._event("response.output_item.done", output_index=index, item=item)

    def failed(self, message: str) -> bytes:
        error = {"code": "server_error", "message": message}
        return self._event("response.failed", response=_response(self._about, "failed", [], error=error, usage=None))


def _response(about: About, status: str, output: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "id": about.id,
        "object": "response",
        "created_at": about.created,
        "status": status,
        "model": about.model,
        "output": output,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        **more,
    }


def _text_id(about: About) -> str:
    return f"msg_{about.id}"


def _text_item(about: About, answer: Answer) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "output_text", "text": answer.text, "annotations": []}
    if answer.finish == "refused":
        part = {"type": "refusal", "refusal": answer.text}
    return {
        "type": "message",
        "id": _text_id(about),
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def _call_item(index: int, call: ToolCall) -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"fc_{index}",
        "call_id": call.id,
        "name": call.name,
        "arguments": write_arguments(call.arguments),
        "status": "completed",
    }


def _usage(answer: Answer) -> dict[str, Any]:
    into, out, cached = tokens(answer.usage)
    return {
        "input_tokens": into,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": out,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": into + out,
    }


def _messages(given: dict[str, Any]) -> list[Message]:
    instructions = given.get("instructions")
    made = [Message("system", read_text(instructions, "`instructions`"))] if instructions else []
    wanted = given.get("input")
    if isinstance(wanted, str):
        return [*made, Message("user", wanted)]
    for index, value in enumerate(read_list(wanted, "`input`")):
        _add(made, read_object(value, f"input[{index}]"), f"input[{index}]")
    return made


def _add(messages: list[Message], item: dict[str, Any], where: str) -> None:
    """One item: calls of tools belong to the message of the assistant before them."""
    match item.get("type", "message"):
        case "message":
            role = item.get("role")
            if role not in _ROLES:
                raise refused(f"the role of {where} is none of {', '.join(_ROLES)}")
            messages.append(Message(_ROLES[role], _content(item.get("content"), where)))  # type: ignore[arg-type]
        case "function_call":
            name, id = read_text(item.get("name"), where), read_text(item.get("call_id"), where)
            call = ToolCall(id, name, read_arguments(item.get("arguments")))
            before = messages.pop() if messages and messages[-1].role == "assistant" else Message("assistant", "")
            messages.append(Message("assistant", before.content, (*before.tool_calls, call)))
        case "function_call_output":
            output = item.get("output")
            text = output if isinstance(output, str) else Message("tool", _content(output, where)).text
            messages.append(Message("tool", text, tool_call=read_text(item.get("call_id"), where)))
        case "reasoning":
            pass  # only its own provider can read it
        case other:
            raise refused(f"{where} is of the type {str(other)[:40]!r}, which is not taken")


def _content(value: Any, where: str) -> Content:
    if isinstance(value, str):
        return value
    parts: list[Text | Image] = []
    for part in read_list(value, f"the content of {where}"):
        match read_object(part, f"a part of {where}").get("type"):
            case "input_text" | "output_text" | "text":
                parts.append(Text(read_text(part.get("text"), f"a part of {where}")))
            case "refusal":
                parts.append(Text(read_text(part.get("refusal"), f"a part of {where}")))
            case "input_image":
                parts.append(read_image(part.get("image_url"), f"a picture of {where}", rest(part, _OF_IMAGE)))
            case other:
                raise refused(f"a part of {where} is of the type {str(other)[:40]!r}, which is not taken")
    return parts[0].text if len(parts) == 1 and isinstance(parts[0], Text) else tuple(parts)


def _tool(value: Any) -> Tool:
    item = read_object(value, "a tool")
    if item.get("type") != "function":
        raise refused(f"a tool is of the type {str(item.get('type'))[:40]!r}; only functions are taken")
    more = rest(item, _OF_TOOL)
    return read_tool(item.get("name"), item.get("description"), item.get("parameters"), "a tool", more)


def _choice(value: Any) -> str:
    if value is None or isinstance(value, str):
        if value not in (None, "auto", "required", "none"):
            raise refused("`tool_choice` is none of auto, required, none")
        return value or "auto"
    return read_text(read_object(value, "`tool_choice`").get("name"), "`tool_choice`")


def _schema(value: Any) -> Any:
    if value is None:
        return None
    match read_object(value, "`text.format`").get("type"):
        case "text":
            return None
        case "json_object":
            return {"type": "object"}
        case "json_schema":
            return read_object(value.get("schema"), "`text.format.schema`")
        case _:
            raise refused("`text.format` is none of text, json_object, json_schema")
