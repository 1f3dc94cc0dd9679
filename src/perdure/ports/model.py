"""A language model that answers one request, whole or as a stream, and embeds texts. Adapters speak the wire formats.

Routing (retries, fallbacks, balancing) is made of Models around Models, so whoever asks needs to know none of it.
"""

from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from perdure.language.values import Json


class Text(msgspec.Struct, frozen=True, tag="text", tag_field="type"):
    """A piece of text in a message of several parts. `more` here and below: as `Request.more`."""

    text: str
    more: dict[str, Any] = {}


class Image(msgspec.Struct, frozen=True, tag="image", tag_field="type"):
    """A picture in a message: its bytes in base64 with their media type, or an address that the provider reads."""

    media: str = ""
    data: str = ""
    uri: str = ""
    more: dict[str, Any] = {}


Content: TypeAlias = str | tuple[Text | Image, ...]


class Message(msgspec.Struct, frozen=True):
    """One turn of the conversation. Instructions are `system`; data is never put there."""

    role: Literal["system", "user", "assistant", "tool"]
    content: Content
    tool_calls: "tuple[ToolCall, ...]" = ()
    """Of an assistant: what it wanted done."""
    tool_call: str = ""
    """Of a tool: the id of the call that this is the result of."""
    more: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The text alone; its parts are lines."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, Text))


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model wants done. `arguments` that are no object were not JSON: they are the text as it came."""

    id: str
    name: str
    arguments: Json
    seal: str = ""
    """What the provider wants to see again with this call; nobody else reads it."""


class Tool(msgspec.Struct, frozen=True):
    """What a model may ask for. `parameters` is a JSON Schema of the arguments."""

    name: str
    description: str
    parameters: dict[str, Any]
    more: dict[str, Any] = {}


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
    choice: str = "auto"
    """Whether tools are to be used: `auto`, `required`, `none`, or the name of the one tool to call."""
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    """`temperature maxTokens topP seed stop`; what is absent is the endpoint's choice."""
    timeout: float = 300.0
    """Seconds, for the whole with its retries."""
    dialect: str = ""
    more: dict[str, Any] = msgspec.field(default_factory=dict)
    """What this port has no word for, as the wire named `dialect` writes it, here and in what the request is made of: an
    adapter of that wire passes it on as it is, all others leave it out."""


Finish = Literal["stop", "length", "refused", "tools"]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the model said. `usage` is `{"inputTokens", "outputTokens", "model"}`; `inputTokensCached`, a part of the
    first, where the endpoint tells it; `cost` (US dollars) and the `price` it was made with, where one is known."""

    text: str
    finish: Finish
    usage: dict[str, Any]
    tool_calls: tuple[ToolCall, ...] = ()
    dialect: str = ""
    more: dict[str, Any] = {}
    """What this port has no word for, in words of the adapter of the wire named `dialect`, which writes it again for callers
    of the same wire."""


class TextDelta(msgspec.Struct, frozen=True):
    """More text of the answer under way."""

    text: str


class CallDelta(msgspec.Struct, frozen=True):
    """More of the tool call number `index`: its id and name first, then its arguments as pieces of JSON text."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class MoreDelta(msgspec.Struct, frozen=True):
    """More of what `Answer.more` is about. `text` is what of it counts as said."""

    dialect: str
    piece: dict[str, Any]
    text: str = ""


Chunk: TypeAlias = TextDelta | CallDelta | MoreDelta | Answer
"""A stream is deltas and then exactly one Answer, which is the whole; without it there was no answer."""


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    """Texts to be made into vectors."""

    texts: tuple[str, ...]
    key: str
    model: str = ""
    dimensions: int | None = None
    """None: as many as the model has."""
    timeout: float = 120.0


class Vectors(msgspec.Struct, frozen=True, kw_only=True):
    """One vector for each text, in their order. `usage` as of Answer."""

    vectors: tuple[tuple[float, ...], ...]
    usage: dict[str, Any]


Failure = Literal["configuration", "authentication", "communication", "timeout", "validation"]
"""Which standard fault (`interpreter/faults.py`) a failure is for the workflow that asked."""


class ModelFailed(Exception):
    """The model gave no answer. `sent` tells whether it may have worked on the request nevertheless.

    `status` is the endpoint's HTTP status where there is one. `again` says that asking again may help and buys nothing
    twice, `wait` for how many seconds the endpoint asked to be left alone. The text never holds a key.
    """

    def __init__(
        self,
        message: str,
        *,
        failure: Failure,
        status: int | None = None,
        sent: bool = False,
        again: bool = False,
        wait: float | None = None,
    ) -> None:
        super().__init__(message)
        self.failure: Failure = failure
        self.status = status
        self.sent = sent
        self.again = again
        self.wait = wait


class Model(Protocol):
    """One provider of models, or several behind one face."""

    def ask(self, request: Request) -> Awaitable[Answer]:
        """Answer once. Raises ModelFailed."""
        ...

    def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """Answer bit by bit; the last chunk is the Answer. Raises ModelFailed, also in the middle. Whoever stops early
        closes the generator (`contextlib.aclosing`), and loses the connection; whoever reads to the end keeps it."""
        ...

    def embed(self, texts: Texts) -> Awaitable[Vectors]:
        """Vectors of texts. Raises ModelFailed, `configuration` where the provider has no such thing."""
        ...
