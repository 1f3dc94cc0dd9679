"""Server-sent events and lines out of bytes that come in any pieces. Pure.

Tolerant of CR, LF and CRLF, of comments, of unknown fields, of a byte order mark and of characters that are cut apart;
strict about size and about bytes that are no UTF-8. What no blank line ended is no event (HTML standard, 9.2.6).
"""

from typing import NamedTuple

MOST_BYTES = 4_000_000
"""Of one line, and of the data of one event."""

_MARK = b"\xef\xbb\xbf"


class Malformed(ValueError):
    """The bytes are no stream of events, or one of them is too large."""


class Event(NamedTuple):
    """One event; `name` is empty where the stream gives none."""

    name: str
    data: str


class Lines:
    """Cuts bytes into lines, without their ends."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._parts: list[bytes] = []
        self._size = 0
        self._is_after_return = False

    def __repr__(self) -> str:
        return f"Lines({self._size} bytes of an open line)"

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this piece ends. Raises Malformed when one is too long."""
        if self._is_after_return and chunk[:1] == b"\n":
            chunk = chunk[1:]
            self._is_after_return = False
        if not chunk:
            return []
        self._is_after_return = chunk.endswith(b"\r")
        return [line for piece in chunk.splitlines(keepends=True) if (line := self._ended(piece)) is not None]

    def _ended(self, piece: bytes) -> bytes | None:
        self._size += len(piece)
        if self._size > self._most:
            raise Malformed(f"a line is longer than {self._most} bytes")
        if piece[-1:] not in (b"\n", b"\r"):
            self._parts.append(piece)
            return None
        line = b"".join((*self._parts, piece)).rstrip(b"\r\n")
        self._parts.clear()
        self._size = 0
        return line

    def rest(self) -> bytes:
        """What stands behind the last end of a line."""
        return b"".join(self._parts)


class Events:
    """Reads events."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._lines = Lines(most)
        self._most = most
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0
        self._is_first = True

    def __repr__(self) -> str:
        return f"Events({self._lines!r}, {len(self._data)} lines of an open event)"

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this piece ends. Raises Malformed."""
        found = []
        for line in self._lines.feed(chunk):
            if self._is_first:
                line, self._is_first = line.removeprefix(_MARK), False
            if line:
                self._field(line)
            elif self._data:
                found.append(self._event())
            else:
                self._name = b""
        return found

    def _field(self, line: bytes) -> None:
        field, _colon, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._size += len(value) + 1
            if self._size > self._most:
                raise Malformed(f"an event is larger than {self._most} bytes")
            self._data.append(value)
        elif field == b"event":
            self._name = value

    def _event(self) -> Event:
        try:
            made = Event(self._name.decode(), b"\n".join(self._data).decode())
        except UnicodeDecodeError:
            raise Malformed("an event is not UTF-8") from None
        self._name, self._data, self._size = b"", [], 0
        return made
