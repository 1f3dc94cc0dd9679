"""Lines of a log: JSON for machines, text on a terminal. Also takes what libraries say through `logging`."""

import functools
import logging
import sys
import time
from typing import Any, TextIO

import msgspec

from perdure.ports.log import REQUEST, RUN, Level, Log

LEVELS: dict[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_encode = msgspec.json.Encoder(enc_hook=str).encode
_LONGEST = 16_384


class LineLog:
    """Writes each line at once to one stream; a stream that is gone is forgotten."""

    def __init__(self, out: TextIO | None = None, *, level: Level = "info", text: bool | None = None) -> None:
        self._out = sys.stderr if out is None else out
        self._least = LEVELS[level]
        self._text = self._out.isatty() if text is None else text

    def __repr__(self) -> str:
        return f"LineLog(least={self._least}, {'text' if self._text else 'json'})"

    def __call__(self, level: Level, event: str, **fields: Any) -> None:
        if LEVELS[level] < self._least:
            return
        now = time.time()
        line = _as_text(now, level, event, fields) if self._text else _as_json(now, level, event, fields)
        try:
            self._out.write(line)
            self._out.flush()
        except (OSError, ValueError):
            self._least = 100


class Bridge(logging.Handler):
    """Hands what libraries log to ours."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "error" if record.levelno >= 40 else "warning" if record.levelno >= 30 else "info"
        try:
            fields = {"logger": record.name, "message": record.getMessage()}
        except (TypeError, ValueError):
            fields = {"logger": record.name, "message": str(record.msg)}
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = type(record.exc_info[1]).__name__
            fields["trace"] = logging.Formatter().formatException(record.exc_info)[-8000:]
        self._log(level, "library", **fields)


def bridge(log: Log, *, level: int = logging.WARNING) -> None:
    """Make our log the only place where `logging` writes."""
    root = logging.getLogger()
    root.handlers[:] = [Bridge(log)]
    root.setLevel(level)


def _where() -> dict[str, str]:
    found = {"request": REQUEST.get(), "run": RUN.get()}
    return {name: value for name, value in found.items() if value}


def _as_json(now: float, level: str, event: str, fields: dict[str, Any]) -> str:
    line = {"time": _stamp(now), "level": level, "event": event, **_where(), **fields}
    try:
        encoded = _encode(line)
    except (TypeError, ValueError, RecursionError):
        encoded = _encode({name: _plain(value) for name, value in line.items()})
    if len(encoded) > _LONGEST:
        share = _LONGEST // len(line)
        encoded = _encode({name: _plain(value)[-share:] for name, value in line.items()})
    return encoded.decode() + "\n"


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text.encode("utf-8", "backslashreplace").decode()


def _as_text(now: float, level: str, event: str, fields: dict[str, Any]) -> str:
    shown = {**_where(), **fields}
    trace = shown.pop("trace", "")
    parts = " ".join(f"{name}={_printable(value)}" for name, value in shown.items() if value != "")
    tail = "\n" + "\n".join(f"    {_printable(line)}" for line in str(trace).splitlines()) if trace else ""
    return f"{_stamp(now)[11:23]} {level:7} {event} {parts}{tail}\n"


def _printable(value: Any) -> str:
    """A terminal does what control characters say; a log line must not."""
    text = value if isinstance(value, str) else repr(value)
    return text if text.isprintable() else ascii(text)[1:-1]


def _stamp(now: float) -> str:
    second, part = divmod(int(now * 1000), 1000)
    return f"{_second(second)}.{part:03d}Z"


@functools.lru_cache(maxsize=4)
def _second(second: int) -> str:
    """Many lines fall into one second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
