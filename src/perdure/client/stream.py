"""Server-sent events (WHATWG HTML, 9.2): bytes in, events out. Reads no socket."""

import msgspec

LINE_LIMIT = 32 * 1024 * 1024


class StreamEvent(msgspec.Struct, frozen=True):
    """One event of a stream."""

    id: str
    type: str
    data: str


class Lines:
    """Feed it bytes as they come; `headers` ask another connection for what comes after them."""

    def __init__(self, last_id: str = "") -> None:
        self._rest = b""
        self._id = last_id
        """Of the last event that came whole."""
        self._next_id = last_id
        self._type = ""
        self._data: list[str] = []
        self.retry: float | None = None
        """Seconds after which the server wants to be asked again, once it has said so."""

    def headers(self) -> dict[str, str]:
        """Begin with the line after the last whole event: what was cut comes again, and nothing else does."""
        self._rest, self._data, self._type, self._next_id = b"", [], "", self._id
        return {"last-event-id": self._id} if self._id else {}

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """The events that are whole now. ValueError when a line is longer than any event may be."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            raise ValueError("an event of the stream is too large")
        found = [self._line(line.rstrip(b"\r").decode(errors="replace")) for line in lines]
        return [event for event in found if event is not None]

    def _line(self, line: str) -> StreamEvent | None:
        if not line:
            data, kind = self._data, self._type
            self._data, self._type, self._id = [], "", self._next_id
            return StreamEvent(self._id, kind or "message", "\n".join(data)) if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._next_id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value) / 1000
        return None
