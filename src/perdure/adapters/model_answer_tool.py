"""A structured answer by way of a tool, for providers that cannot bind an answer to a schema themselves. Pure.

The schema becomes one more tool that the model has to call; what it is called with is the answer. Callers of the port
see none of this: the call is turned back into text.
"""

import msgspec

from perdure.adapters.model_answers import write_arguments
from perdure.ports.model import Answer, Chunk, MoreDelta, Request, TextDelta, Tool

_NAME = "final_answer"
_VALUE = "value"
_SAID = "Give the final answer. Call this once, when everything else is done."


class AnswerTool:
    """What is to be sent instead of a request, and what came back. Without a schema it changes nothing."""

    def __init__(self, request: Request) -> None:
        self._name = ""
        self._is_wrapped = False
        self._index: int | None = None
        self.request = request
        if request.schema is None:
            return
        names = {tool.name for tool in request.tools}
        self._name = next(
            name for name in (_NAME, *(f"{_NAME}_{n}" for n in range(len(names) + 1))) if name not in names
        )
        schema = request.schema
        self._is_wrapped = not (isinstance(schema, dict) and schema.get("type") == "object")
        if self._is_wrapped:
            schema = {"type": "object", "properties": {_VALUE: schema}, "required": [_VALUE]}
        tools = (*request.tools, Tool(self._name, _SAID, schema))
        choice = self._name if not request.tools or request.choice == "none" else "required"
        self.request = msgspec.structs.replace(request, schema=None, tools=tools, choice=choice)

    def __repr__(self) -> str:
        return f"AnswerTool({self._name or 'not needed'})"

    def answer(self, given: Answer) -> Answer:
        """The call of the tool as text; when other tools are called too, these come first."""
        mine = [call for call in given.tool_calls if call.name == self._name]
        others = tuple(call for call in given.tool_calls if call.name != self._name)
        if not self._name or not mine or others:
            return msgspec.structs.replace(given, tool_calls=others)
        value = mine[0].arguments
        if self._is_wrapped and isinstance(value, dict) and _VALUE in value:
            value = value[_VALUE]
            text = msgspec.json.encode(value).decode()
        else:
            text = write_arguments(value)
        return msgspec.structs.replace(given, text=text, tool_calls=(), finish="stop")

    def chunk(self, given: Chunk) -> list[Chunk]:
        """What a chunk is to the caller. What a model says beside its structured answer is not part of it."""
        if not self._name:
            return [given]
        if isinstance(given, Answer):
            whole = self.answer(given)
            return [TextDelta(whole.text), whole] if self._is_late(whole) else [whole]
        if isinstance(given, MoreDelta):
            return [given]
        if isinstance(given, TextDelta):
            return []
        if given.name == self._name:
            self._index = given.index
        if given.index != self._index:
            return [given]
        return [TextDelta(given.arguments)] if given.arguments and not self._is_wrapped else []

    def _is_late(self, whole: Answer) -> bool:
        """Whether the text could be told only at the end."""
        return bool(whole.text) and not whole.tool_calls and (self._is_wrapped or self._index is None)
