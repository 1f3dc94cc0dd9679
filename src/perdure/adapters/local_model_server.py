"""The HTTP side of the local model: an OpenAI-compatible server on loopback, every request with the token."""

import contextlib
import hmac
import os
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import msgspec

from perdure.adapters.local_model_answers import Answers, Compute, error_body

_MOST_BYTES = 8_000_000
_MOST_TOKENS = 1_024

Reply: TypeAlias = tuple[int, dict[str, Any]]


class Refused(Exception):
    """A request that this server does not serve, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Server(ThreadingHTTPServer):
    """The HTTP side: loopback only, every request with the token, ends itself after `idle` seconds without one."""

    daemon_threads = True

    def __init__(self, port: int, answers: Answers, *, token: str, model: str, idle: float) -> None:
        super().__init__(("127.0.0.1", port), Exchange)
        self.answers = answers
        self.token = token
        self.model = model
        self.on_stop: Callable[[], None] = lambda: None
        """Called before this server says that it will stop."""
        self.embed: Compute | None = None
        """Makes vectors; weights are loaded at the first use."""
        self._idle = idle
        self._guard = threading.Lock()
        self._open = 0
        self._last = time.monotonic()

    def begin(self) -> None:
        with self._guard:
            self._open += 1

    def end(self) -> None:
        with self._guard:
            self._open -= 1
            self._last = time.monotonic()

    def service_actions(self) -> None:
        """Called twice a second by the serving loop."""
        with self._guard:
            is_idle = not self._open and time.monotonic() - self._last > self._idle
        if is_idle:
            self.stop()

    def stop(self) -> None:
        """End soon; safe to call from any thread and from a signal handler."""
        self.on_stop()
        threading.Thread(target=self.shutdown, daemon=True).start()


class Exchange(BaseHTTPRequestHandler):
    """Routes: GET /health, GET /v1/models, POST /v1/chat/completions, POST /v1/embeddings, POST /shutdown."""

    protocol_version = "HTTP/1.1"
    server: Server
    timeout = 60

    def do_GET(self) -> None:
        self._serve({"/health": self._health, "/v1/models": self._models})

    def do_POST(self) -> None:
        routes = {"/v1/chat/completions": self._chat, "/v1/embeddings": self._embeddings, "/shutdown": self._shutdown}
        self._serve(routes)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what was asked is in the ledger."""

    def _serve(self, routes: dict[str, Callable[[], Reply | None]]) -> None:
        self.server.begin()
        try:
            reply = self._answer(routes)
            if reply is None:  # it was streamed
                return
            status, body = reply
            payload = msgspec.json.encode(body)
            # Whoever asked may be gone (killed while waiting): the answer is stored under its key.
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)
        finally:
            self.server.end()

    def _answer(self, routes: dict[str, Callable[[], Reply | None]]) -> Reply | None:
        given = self.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.server.token}".encode()):
            self.close_connection = True
            return 401, error_body("The token of this server is missing or wrong.")
        route = routes.get(self.path)
        if route is None:
            self.close_connection = True
            return 404, error_body("There is no such route.")
        try:
            return route()
        except Refused as refused:
            self.close_connection = True
            return refused.status, error_body(str(refused))
        except Exception as error:  # noqa: BLE001 - the one who asked must hear that this request failed
            self.close_connection = True
            return 500, error_body(f"{type(error).__name__}: {error}")

    def _health(self) -> Reply:
        return 200, {"status": "ok", "pid": os.getpid(), "model": self.server.model}

    def _models(self) -> Reply:
        return 200, {"object": "list", "data": [{"id": self.server.model, "object": "model", "owned_by": "local"}]}

    def _shutdown(self) -> Reply:
        self.close_connection = True
        self.server.stop()
        return 200, {"status": "stopping"}

    def _chat(self) -> Reply | None:
        raw = self._body()
        try:
            request = msgspec.json.decode(raw)
        except msgspec.DecodeError:
            raise Refused(400, "The body is not JSON.") from None
        if not isinstance(request, dict) or not isinstance(request.get("messages"), list) or not request["messages"]:
            raise Refused(400, "The body needs a list of messages.")
        is_streamed = request.pop("stream", False) is True
        request.pop("stream_options", None)
        wanted = {**request, "cache_prompt": True}
        wanted.setdefault("temperature", 0)
        most = request.get("max_tokens") or _MOST_TOKENS
        if type(most) is not int or most < 1:
            raise Refused(400, "max_tokens must be a whole number above 0.")
        wanted["max_tokens"] = most
        key, asked = self.headers.get("idempotency-key", ""), msgspec.json.encode(request)
        stream = Stream(self) if is_streamed else None
        status, body = self.server.answers.answer(key, asked, wanted, None if stream is None else stream.tell)
        if status == 200:
            body = {**body, "model": self.server.model}
        if stream is None:
            return status, body
        return stream.end(status, body)

    def _embeddings(self) -> Reply:
        try:
            request = msgspec.json.decode(self._body())
        except msgspec.DecodeError:
            raise Refused(400, "The body is not JSON.") from None
        if not isinstance(request, dict) or not request.get("input"):
            raise Refused(400, "The body needs an input.")
        if request.get("dimensions") is not None:
            raise Refused(400, "The number of dimensions of this model cannot be chosen.")
        if self.server.embed is None:
            raise Refused(501, "This server makes no embeddings.")
        return self.server.answers.vectors(self.server.embed, {**request, "model": self.server.model})

    def _body(self) -> bytes:
        length = self.headers.get("content-length", "")
        if not length.isdigit():
            raise Refused(411, "The request needs a Content-Length.")
        if int(length) > _MOST_BYTES:
            raise Refused(413, f"The request is over {_MOST_BYTES} bytes.")
        return self.rfile.read(int(length))


class Stream:
    """A streamed answer on its way out. Whoever asked may be gone: the answer is computed and kept all the same."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._is_begun = False

    def tell(self, piece: dict[str, Any]) -> None:
        """One piece, now."""
        self._write(b"data: %s\n\n" % msgspec.json.encode({**piece, "model": self._exchange.server.model}))

    def end(self, status: int, body: dict[str, Any]) -> Reply | None:
        """The last piece. An answer that was known before is told whole; one that failed at once is no stream."""
        if status != 200 and not self._is_begun:
            return status, body
        if status != 200:
            self._write(b"data: %s\n\n" % msgspec.json.encode(body))
        elif not self._is_begun:
            choice = body["choices"][0]
            for index, call in enumerate(choice["message"].get("tool_calls") or ()):
                call["index"] = index
            piece = {"index": 0, "delta": choice["message"], "finish_reason": choice["finish_reason"]}
            self.tell({"object": "chat.completion.chunk", "choices": [piece], "usage": body["usage"]})
        self._write(b"data: [DONE]\n\n")
        return None

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            if not self._is_begun:
                self._is_begun = True
                self._exchange.close_connection = True
                self._exchange.send_response(200)
                self._exchange.send_header("content-type", "text/event-stream")
                self._exchange.send_header("connection", "close")
                self._exchange.end_headers()
            self._exchange.wfile.write(data)
