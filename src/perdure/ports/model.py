"""A language model that answers one request. Adapters speak the wire formats; `functions/infer.py` is the caller."""

from collections.abc import Awaitable
from typing import Any, Literal, Protocol

import msgspec

from perdure.language.values import Json


class Message(msgspec.Struct, frozen=True):
    """One turn of the conversation. Instructions are `system`; data is never put there."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: "tuple[ToolCall, ...]" = ()
    """Of an assistant: what it wanted done."""
    tool_call: str = ""
    """Of a tool: the id of the call that this is the result of."""


class ToolCall(msgspec.Struct, frozen=True):
    """What a model wants done. `arguments` that are no object were not JSON: they are the text as it came."""

    id: str
    name: str
    arguments: Json


class Tool(msgspec.Struct, frozen=True):
    """What a model may ask for. `parameters` is a JSON Schema of the arguments."""

    name: str
    description: str
    parameters: dict[str, Any]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One question to a model."""

    messages: tuple[Message, ...]
    key: str
    """Idempotency key: an endpoint that honours it computes this request once, however often it is sent."""
    model: str = ""
    """Empty: the model that the installation chose."""
    schema: Json = None
    """JSON Schema that constrains the answer, or None for free text."""
    tools: tuple[Tool, ...] = ()
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    """`temperature maxTokens topP seed stop`; what is absent is the endpoint's choice."""
    timeout: float = 300.0
    """Seconds, for the whole with its retries."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the model said. `usage` is `{"inputTokens", "outputTokens", "model"}`, and `inputTokensCached`, a part
    of the first, where the endpoint tells it."""

    text: str
    finish: Literal["stop", "length", "refused", "tools"]
    usage: dict[str, Any]
    tool_calls: tuple[ToolCall, ...] = ()


Failure = Literal["configuration", "authentication", "communication", "timeout", "validation"]
"""Which standard fault (`interpreter/faults.py`) a failure is for the workflow that asked."""


class ModelFailed(Exception):
    """The model gave no answer. `sent` tells whether it may have worked on the request nevertheless.

    `status` is the endpoint's HTTP status where there is one. The text never holds a key.
    """

    def __init__(self, message: str, *, failure: Failure, status: int | None = None, sent: bool = False) -> None:
        super().__init__(message)
        self.failure: Failure = failure
        self.status = status
        self.sent = sent


class Model(Protocol):
    """One provider of models."""

    def ask(self, request: Request) -> Awaitable[Answer]:
        """Answer once. Raises ModelFailed."""
        ...
