"""Answers of the local model: one computation at a time, each idempotency key computed once.

The same key joins a computation under way or gets its stored answer; a ledger file tells afterwards what was done.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

_MOST_ANSWERS = 10_000

Compute = Callable[[dict[str, Any]], dict[str, Any]]
"""From the body of a chat completion request to the body of its response; `{"error": {...}}` when it failed."""

Told = Callable[[dict[str, Any]], None]
"""Hears each piece of a streamed chat completion."""

ComputeStream = Callable[[dict[str, Any], Told], dict[str, Any]]
"""As Compute; the pieces are told on the way."""


class Stored(NamedTuple):
    """What is known of one idempotency key."""

    request: bytes
    answer: "Future[tuple[int, dict[str, Any]]]"


class Ledger:
    """An append-only file with one JSON line for each computation and each answer given without one."""

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else path.open("ab", buffering=0)

    def write(self, event: str, key: str, **more: Any) -> None:
        if self._file is not None:
            # One write to a file opened for appending is one line, also with several threads.
            line = {"event": event, "key": key, "at": round(time.time(), 3), **more}
            self._file.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class Answers:
    """Computes one request at a time, each key once. Answers stay in memory, the oldest are forgotten first."""

    def __init__(self, compute: Compute, ledger: Ledger, streamed: ComputeStream | None = None) -> None:
        self._compute = compute
        self._streamed = streamed
        self._ledger = ledger
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._stored: OrderedDict[str, Stored] = OrderedDict()

    def answer(
        self, key: str, raw: bytes, request: dict[str, Any], told: Told | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and body. Blocks until the answer is there. `told` hears the pieces of one that is computed now."""
        if not key:
            return self._run("", request, told)
        with self._lock:
            known = self._stored.get(key)
            if known is None:
                mine: Future[tuple[int, dict[str, Any]]] = Future()
                self._stored[key] = Stored(raw, mine)
                self._forget()
        if known is not None:
            return self._again(key, raw, known)
        status, body = 500, error_body("The computation failed.")
        try:
            status, body = self._run(key, request, told)
        finally:
            if status != 200:
                with self._lock:
                    self._stored.pop(key, None)
            mine.set_result((status, body))
        return status, body

    def vectors(self, compute: Compute, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of one request for embeddings; it takes its turn like an answer, and nothing is stored."""
        with self._turn:
            body = compute(request)
        if "data" in body:
            return 200, body
        error = body.get("error", body)
        return 400, error_body(str(error.get("message", error) if isinstance(error, dict) else error)[:500])

    def _again(self, key: str, raw: bytes, known: Stored) -> tuple[int, dict[str, Any]]:
        if known.request != raw:
            return 422, error_body("This idempotency key was used for another request.")
        self._ledger.write("joined" if not known.answer.done() else "stored", key)
        return known.answer.result()

    def _run(self, key: str, request: dict[str, Any], told: Told | None) -> tuple[int, dict[str, Any]]:
        with self._turn:
            started = time.monotonic()
            self._ledger.write("started", key)
            is_told = told is not None and self._streamed is not None
            body = self._streamed(request, told) if is_told else self._compute(request)  # type: ignore[misc, arg-type]
        usage = body.get("usage")
        if not isinstance(usage, dict):
            error = body.get("error", body)
            message = error.get("message") if isinstance(error, dict) else None
            self._ledger.write("failed", key)
            code = error.get("code") if isinstance(error, dict) else None
            return (code if isinstance(code, int) and 400 <= code < 600 else 500), error_body(
                str(message or error)[:500]
            )
        self._ledger.write(
            "computed",
            key,
            inputTokens=usage.get("prompt_tokens", 0),
            outputTokens=usage.get("completion_tokens", 0),
            seconds=round(time.monotonic() - started, 3),
        )
        return 200, body

    def _forget(self) -> None:
        for key in list(self._stored):
            if len(self._stored) <= _MOST_ANSWERS:
                break
            if self._stored[key].answer.done():
                del self._stored[key]


def error_body(message: str) -> dict[str, Any]:
    """The wire form of an error."""
    return {"error": {"message": message}}
