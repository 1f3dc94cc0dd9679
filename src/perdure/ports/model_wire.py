"""A wire on which others ask models of ours: what they send becomes a Request, what the model says becomes their bytes."""

from typing import Any, Protocol

import msgspec

from perdure.ports.model import Answer, Chunk, Request, Texts, Vectors


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asked for on a wire."""

    request: Request
    is_streamed: bool
    has_usage: bool = True
    """Whether a stream tells its usage."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says of itself: `created` is in seconds since the epoch, `model` the name that was asked for."""

    id: str
    created: int
    model: str


class Rendering(Protocol):
    """One streamed answer on its way out."""

    def chunk(self, chunk: Chunk) -> bytes:
        """The events of a chunk; the Answer is the last one and ends the stream."""
        ...

    def failed(self, message: str) -> bytes:
        """The event that says that no more will come."""
        ...


class ModelWire(Protocol):
    """One wire, seen by who answers. Pure."""

    dialect: str
    path: str
    passed: tuple[str, ...]
    """Names of headers that a provider of the same wire is to see: among `Request.more`."""

    def read(self, body: Any, key: str) -> Wanted:
        """A request out of its JSON; `key` is its idempotency key. Raises errors.Invalid with one sentence."""
        ...

    def answer(self, answer: Answer, about: About) -> dict[str, Any]:
        """A whole answer."""
        ...

    def rendering(self, wanted: Wanted, about: About) -> Rendering:
        """A streamed answer; its bytes are `text/event-stream`."""
        ...

    def refusal(self, status: int, message: str, code: str = "") -> dict[str, Any]:
        """An error as clients of this wire expect it; `code` is for programs."""
        ...


class VectorsWire(Protocol):
    """The wire of embeddings, seen by who answers. Pure."""

    def read(self, body: Any, key: str) -> tuple[Texts, bool]:
        """A request out of its JSON, and whether its vectors are wanted in base64. Raises errors.Invalid."""
        ...

    def answer(self, vectors: Vectors, model: str, *, is_base64: bool) -> dict[str, Any]:
        """The whole answer."""
        ...
