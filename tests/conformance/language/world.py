"""What surrounds the run of a scenario: functions, hosts and secrets that behave as the scenario says.

Functions and hosts answer by script; the `http` and `openapi` functions are the real ones, over a scripted egress.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from perdure.interpreter import handles
from perdure.language.values import Json, canonical
from perdure.ports.egress import EgressFailed, Response
from perdure.ports.function import Context, Effect, FunctionFault
from perdure.ports.secrets import Secret

Sleep = Callable[[float], Awaitable[None]]


class Call(msgspec.Struct, frozen=True):
    """One call of a scripted function, as the function saw it. A redelivery is the same call."""

    key: str
    attempt: int
    arguments: Json


class ScriptedFunction:
    """A function whose answers the scenario gives, one after another; the last one is given for ever.

    A turn is `{"output": ...}` or `{"fault": problem, "outcome"?: "unknown"}`, each with `"after"?: seconds`.
    """

    version = "1"
    effect: Effect = "idempotent"
    summary = "Answers as its scenario says."
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] = {}

    def __init__(self, name: str, sleep: Sleep, turns: list[dict[str, Any]] | None = None) -> None:
        self.name = name
        self.sleep = sleep
        self.turns = turns
        self.calls: dict[tuple[str, int], Call] = {}
        self.answered: dict[tuple[str, int], None] = {}
        """Calls whose answer is known by their key, as at a service that honours it: asked again, it answers at once."""

    def __repr__(self) -> str:
        return f"ScriptedFunction({self.name}, {len(self.calls)} calls)"

    def effect_of(self, arguments: Json, resources: dict[str, Json]) -> Effect:
        return self.effect

    async def execute(self, arguments: Json, context: Context) -> Json:
        opened = handles.resolve(arguments, context.secret)
        identity = (context.key, context.attempt)
        if identity not in self.calls:
            self.calls[identity] = Call(context.key, context.attempt, opened)
        if self.turns is None:
            return opened
        place = list(self.calls).index(identity)
        turn = self.turns[min(place, len(self.turns) - 1)]
        if identity not in self.answered:
            await self.sleep(turn.get("after", 0.0))
        self.answered[identity] = None
        if "fault" in turn:
            raise FunctionFault(dict(turn["fault"]), turn.get("outcome", "definite"))
        return turn["output"]


class Request(msgspec.Struct, frozen=True):
    """One request that reached a scripted host."""

    method: str
    uri: str
    headers: dict[str, str]
    body: bytes | None


class ScriptedHosts:
    """An egress that reaches only the hosts of the scenario (and real local servers through `beyond`, if given)."""

    def __init__(self) -> None:
        self.answers: dict[str, list[dict[str, Any]]] = {}
        self.requests: list[Request] = []

    async def request(
        self,
        method: str,
        uri: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 60.0,
        follow: bool = False,
    ) -> Response:
        parts = urlsplit(uri)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self.answers:
            raise EgressFailed(f"{origin} cannot be reached.", sent=False)
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        self.requests.append(Request(method.upper(), uri, sent, body))
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        answer = self._answer(origin, f"{method.upper()} {path}")
        return self._response(answer, Request(method.upper(), uri, sent, body))

    async def close(self) -> None:
        return None

    def asked(self, origin: str) -> list[Request]:
        """What reached a host; a request that was sent again with the same content counts once."""
        distinct = {canonical([r.method, r.uri, r.headers, (r.body or b"").decode()]): r for r in self.requests}
        return [request for request in distinct.values() if request.uri.startswith(origin)]

    def _answer(self, origin: str, line: str) -> dict[str, Any]:
        for answer in self.answers[origin]:
            if answer["on"] == line:
                return answer
        return {"status": 404, "body": {"missing": line}}

    def _response(self, answer: dict[str, Any], request: Request) -> Response:
        if "text" in answer:
            content, kind = answer["text"].encode(), "text/plain; charset=utf-8"
        else:
            content, kind = json.dumps(answer.get("body")).encode() if "body" in answer else b"", "application/json"
        credentials = {"authorization", "proxy-authorization", "cookie"}
        return Response(
            method=request.method,
            uri=request.uri,
            request_headers={name: value for name, value in request.headers.items() if name not in credentials},
            status=answer["status"],
            headers={"content-type": kind} | answer.get("headers", {}),
            body=content,
        )


class ScriptedSecrets:
    """The secrets of the scenario."""

    def __init__(self) -> None:
        self.values: dict[str, Json] = {}

    async def get(self, tenant: str, name: str) -> Secret | None:
        return Secret(self.values[name]) if name in self.values else None
