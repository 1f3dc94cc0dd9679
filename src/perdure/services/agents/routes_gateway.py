"""The model gateway over HTTP: the public wires of others, as their own clients speak them. All of it is hot.

Nothing of a request says where a model is: that is the administrator's alone.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from perdure.errors import Invalid, NotFound, PerdureError
from perdure.ports import model
from perdure.ports.edge import BODY, CALLER, IDEMPOTENCY, LIMIT, PROBLEMS, Caller, permission
from perdure.ports.model import ModelFailed
from perdure.ports.model_wire import About, ModelWire, Rendering, VectorsWire, Wanted
from perdure.services.agents.gateway import Asked, ModelGateway, UnknownModel

PREFIX = "/v1"
_encode = msgspec.json.Encoder().encode
_BODY_BYTES = 32 * 1024 * 1024
_STALL = 60.0
"""Seconds after which a reader of a stream that takes nothing is dropped."""
_IDS = {"/v1/chat/completions": "chatcmpl-", "/v1/responses": "resp_", "/v1/messages": "msg_"}
_PLACES = ("api_base", "base_url", "api_key", "api_version", "extra_headers", "custom_llm_provider")
"""Words with which other gateways let a request choose where it goes, and with which key."""
_CODES = {"exhausted": "rate_limit_exceeded", "unauthenticated": "invalid_api_key", "not-found": "model_not_found"}
_OURS = frozenset({408, 409, 413, 415, 429})
_FINAL = ("x-should-retry", "false")


class Form:
    """Errors of a route as clients of its wire expect them: for the gateway, and for what the models say."""

    def __init__(self, wire: ModelWire) -> None:
        self._wire = wire

    def __call__(self, status: int, problem: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and document of a problem."""
        code = problem["code"]
        sentence = " ".join(part for part in (problem["detail"], problem.get("hint")) if part)
        status = 400 if status == 422 else status
        return status, self._wire.refusal(status, sentence, _CODES.get(code) or code.replace("-", "_"))


def forms(wires: Sequence[ModelWire]) -> dict[str, Form]:
    """By the path of the wire, as its routes name them."""
    return {wire.path: Form(wire) for wire in wires}


def router(gateway: ModelGateway, wires: Sequence[ModelWire], vectors: VectorsWire) -> APIRouter:
    """All of it. The first wire is the one in whose form errors of what has no wire of its own are told."""
    routes = APIRouter(include_in_schema=False)
    for wire in wires:
        endpoint = _Answering(gateway, wire).answer
        routes.add_api_route(
            wire.path.removeprefix(PREFIX), endpoint, methods=["POST"], openapi_extra=_extra(wire), name=wire.path
        )

    @routes.post("/embeddings", openapi_extra=_extra(wires[0]))
    async def embeddings(request: Request) -> Response:
        body = _read(await request.body())
        try:
            texts, is_base64 = vectors.read(body, gateway.id())
        except Invalid as error:
            raise Invalid(error.message) from None
        messages = tuple(model.Message("user", text) for text in texts.texts)
        wanted = model.Request(messages=messages, key=texts.key, model=texts.model)
        asked = Asked(request=wanted, caller=request.scope[CALLER], mode=gateway.mode("off"))
        try:
            made = await gateway.embed(asked, texts)
        except ModelFailed as failed:
            return await _failed(gateway, wires[0], asked, failed)
        except BaseException:
            await gateway.settle(asked)
            raise
        return Told(gateway, asked, _encode(vectors.answer(made, gateway.name(texts.model), is_base64=is_base64)))

    @routes.get("/models", openapi_extra=_reading(wires[0]))
    async def models(request: Request) -> Response:
        listed = [_model(name, request) for name in gateway.names(request.scope[CALLER])]
        if "anthropic-version" in request.headers:
            ends = {"first_id": listed[0]["id"], "last_id": listed[-1]["id"]} if listed else {}
            return _json({"data": listed, "has_more": False, **ends})
        return _json({"object": "list", "data": listed})

    @routes.get("/models/{id:path}", openapi_extra=_reading(wires[0]))
    async def one(request: Request, id: str) -> Response:
        if id not in gateway.names(request.scope[CALLER]):
            raise NotFound(f"There is no model named {id[:200]!r} here.")
        return _json(_model(id, request))

    return routes


def _extra(wire: ModelWire) -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    return {**_reading(wire), "requestBody": body, BODY: _BODY_BYTES, IDEMPOTENCY: "own"}


def _reading(wire: ModelWire) -> dict[str, Any]:
    return {**permission("models:use", project=True), PROBLEMS: wire.path, LIMIT: "model"}


def _model(name: str, request: Request) -> dict[str, Any]:
    if "anthropic-version" in request.headers:
        return {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
    return {"id": name, "object": "model", "created": 0, "owned_by": name.partition("/")[0]}


class _Answering:
    """One wire."""

    def __init__(self, gateway: ModelGateway, wire: ModelWire) -> None:
        self._gateway = gateway
        self._wire = wire
        self._id = _IDS[wire.path]

    async def answer(self, request: Request) -> Response:
        gateway, wire = self._gateway, self._wire
        caller: Caller = request.scope[CALLER]
        raw = await request.body()
        body = _read(raw)
        id = gateway.id()
        wanted = wire.read(body, _key(request, caller, raw) or id)
        wanted.request.more.update({name: request.headers[name] for name in wire.passed if name in request.headers})
        asked = Asked(
            request=wanted.request, caller=caller, mode=gateway.mode(request.headers.get("x-perdure-cache", ""))
        )
        about = About(id=self._id + id, created=gateway.now(), model=gateway.name(wanted.request.model))
        if wanted.is_streamed:
            return Telling(gateway, wire, asked, wire.rendering(wanted, about))
        return await self._whole(asked, wanted, about)

    async def _whole(self, asked: Asked, wanted: Wanted, about: About) -> Response:
        gateway = self._gateway
        try:
            answer = await gateway.ask(asked)
        except ModelFailed as failed:
            return await _failed(gateway, self._wire, asked, failed)
        except BaseException:
            await gateway.settle(asked)
            raise
        return Told(gateway, asked, _encode(self._wire.answer(answer, about)))


class Told(Response):
    """An answer that is there; what a budget waits for is told once it was sent."""

    def __init__(self, gateway: ModelGateway, asked: Asked, body: bytes) -> None:
        self._gateway = gateway
        self._asked = asked
        self.body = body
        self.status_code = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(self.body))]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers + _marks(self._asked)})
            await send({"type": "http.response.body", "body": self.body})
        finally:
            await self._gateway.settle(self._asked)


class Telling(Response):
    """An answer as it comes. A failure before its first piece is an error like any other; later it ends the stream.

    The next piece is asked for when the one before was taken. Who leaves ends the request to the provider.
    """

    def __init__(self, gateway: ModelGateway, wire: ModelWire, asked: Asked, rendering: Rendering) -> None:
        self._gateway = gateway
        self._wire = wire
        self._asked = asked
        self._rendering = rendering
        self._is_begun = False
        self.status_code = 200

    def __repr__(self) -> str:
        return f"Telling({self._wire.path}, {self._asked.characters} characters)"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pump = asyncio.create_task(self._pump(scope, receive, send))
        gone = asyncio.create_task(_until_gone(receive))
        gone.add_done_callback(lambda _: pump.cancel())
        try:
            await pump
        except asyncio.CancelledError:
            if not pump.cancelled():
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)
                raise
        finally:
            gone.cancel()
            await self._gateway.settle(self._asked)

    async def _pump(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with contextlib.aclosing(self._gateway.stream(self._asked)) as chunks:
                await self._tell(chunks, send)
        except ModelFailed as failed:
            if not self._is_begun:
                refused = await _failed(self._gateway, self._wire, self._asked, failed)
                await refused(scope, receive, send)
                return
            _log(self._gateway, self._asked, failed)
            await self._end(send, _sentence(failed))
        except PerdureError as error:
            if not self._is_begun:
                raise
            await self._end(send, error.message)
        except TimeoutError:
            self._gateway.log("stream stalled", model=self._asked.request.model)

    async def _tell(self, chunks: AsyncGenerator[model.Chunk, None], send: Send) -> None:
        chunk_of = self._rendering.chunk
        async for chunk in chunks:
            part = chunk_of(chunk)
            if not part:
                continue
            if not self._is_begun:
                self._is_begun = True
                headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
                await send({"type": "http.response.start", "status": 200, "headers": headers + _marks(self._asked)})
            async with asyncio.timeout(_STALL):
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _end(self, send: Send, sentence: str) -> None:
        await send({"type": "http.response.body", "body": self._rendering.failed(sentence)})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _read(raw: bytes) -> Any:
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Invalid(f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise Invalid("The body is nested too deeply.") from None
    if isinstance(body, dict):
        for name in _PLACES:
            if name in body:
                raise Invalid(
                    f"`{name}` is not taken: where models are, and with which key, is set by the administrator."
                )
    return body


def _key(request: Request, caller: Caller, raw: bytes) -> str:
    """The same request sent again under one Idempotency-Key is the same for the provider; empty without one."""
    given = request.headers.get("idempotency-key")
    if not given:
        return ""
    digest = hashlib.blake2b(
        f"{caller.tenant}\0{caller.subject}\0{given}\0".encode(errors="surrogatepass"), digest_size=16
    )
    digest.update(raw)
    return digest.hexdigest()


def _marks(asked: Asked) -> list[tuple[bytes, bytes]]:
    return [(b"x-perdure-cache", asked.source.encode())] if asked.source else []


def _json(value: Any) -> Response:
    return Response(_encode(value), media_type="application/json")


async def _failed(gateway: ModelGateway, wire: ModelWire, asked: Asked, failed: ModelFailed) -> Response:
    """The answer when no model gave one."""
    await gateway.settle(asked)
    _log(gateway, asked, failed)
    status, code = _meaning(failed)
    headers = {} if failed.again else dict([_FINAL])
    if failed.wait is not None:
        headers["retry-after"] = str(max(1, round(failed.wait)))
    document = wire.refusal(status, _sentence(failed), code)
    return Response(_encode(document), status, headers, "application/json")


def _log(gateway: ModelGateway, asked: Asked, failed: ModelFailed) -> None:
    if not isinstance(failed, UnknownModel):
        gateway.log("model failed", model=asked.request.model, failure=failed.failure, error=str(failed))


def _meaning(failed: ModelFailed) -> tuple[int, str]:
    """Status and code. What is wrong with this installation's own credentials is no 401 of its caller."""
    if isinstance(failed, UnknownModel):
        return 404, "model_not_found"
    if failed.failure == "authentication":
        return 502, "provider_refused"
    if failed.failure == "timeout":
        return 504, "provider_timeout"
    if failed.failure == "validation":
        return 400, "invalid"
    if failed.failure == "configuration":
        return 400, "not_configured"
    if failed.status is None:
        return 502, "provider_unreachable"
    if failed.status >= 500:
        return (503 if failed.status in (503, 529) else 502), "provider_failed"
    return (failed.status if failed.status in _OURS or failed.status in (400, 404) else 400), "provider_refused"


def _sentence(failed: ModelFailed) -> str:
    """What is the caller's business. The log has the rest."""
    if failed.failure == "authentication":
        return "The provider did not accept the credentials of this installation."
    if failed.failure == "configuration" and not isinstance(failed, UnknownModel):
        return "This model cannot be asked so here. The log has more under the id of this request."
    return str(failed)
