"""The five wires that we speak: how to reach each, and the bytes of its answers, written from the public references."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from perdure.adapters.anthropic import AnthropicModel
from perdure.adapters.clock import SystemClock
from perdure.adapters.egress import HttpEgress
from perdure.adapters.gemini import GeminiModel
from perdure.adapters.ollama import OllamaModel
from perdure.adapters.openai import OpenAIModel
from perdure.adapters.openai_responses import OpenAIResponsesModel
from perdure.ports.model import Image, Message, Request, Text, Tool, ToolCall
from tests.servers.stand_ins import serving as serve

FOLDER = Path(__file__).parent / "wires"
KEY = "sk-canary-1234567890"


class Wire(NamedTuple):
    """`adapter` speaks it; `path` is where whole answers come from."""

    name: str
    adapter: Callable[..., Any]
    path: str
    is_lines: bool = False

    def bytes(self, file: str) -> bytes:
        return (FOLDER / self.name / file).read_bytes()

    def events(self, file: str) -> list[bytes]:
        """The pieces of a stream, each with its end."""
        end = b"\n" if self.is_lines else b"\n\n"
        return [piece + end for piece in self.bytes(file).split(end) if piece]

    def model(self, egress: Any, url: str) -> Any:
        return self.adapter(egress, SystemClock(), url=url, key=KEY, model="m-1")


WIRES = [
    Wire("chat", OpenAIModel, "/v1/chat/completions"),
    Wire("responses", OpenAIResponsesModel, "/v1/responses"),
    Wire("messages", AnthropicModel, "/v1/messages"),
    Wire("gemini", GeminiModel, "/v1beta/models/m-1:generateContent"),
    Wire("ollama", OllamaModel, "/api/chat", is_lines=True),
]
BY_NAME = {wire.name: wire for wire in WIRES}

WEATHER = Tool("weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}})
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}


def request(**more: Any) -> Request:
    return Request(**{"messages": (Message("user", "Hello"),), "key": "key-1", **more})


def rich() -> Request:
    """Everything that a request can hold."""
    call = ToolCall("call_1", "weather", {"city": "Faro"}, "c2VhbA==")
    return Request(
        messages=(
            Message("system", "Be brief."),
            Message("user", (Text("What is this?"), Image(media="image/png", data="aGk="))),
            Message("assistant", "Let me see.", (call,)),
            Message("tool", "sunny", tool_call="call_1"),
            Message("user", "And now?"),
        ),
        key="key-1",
        tools=(WEATHER,),
        choice="weather",
        parameters={"temperature": 0.5, "maxTokens": 99, "topP": 0.9, "seed": 7, "stop": ["END"]},
    )


def whole(body: bytes, status: int = 200) -> Callable[[Any], web.Response]:
    return lambda asked: web.Response(body=body, status=status, content_type="application/json")


def pieces(*parts: bytes, cut: bool = False) -> Callable[[Any], Any]:
    """A stream of these pieces; with `cut` the connection breaks after the last."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        if cut:
            assert request.transport is not None
            request.transport.close()
        else:
            await response.write_eof()
        return response

    return answer


class Serving:
    """What arrived at a server: bodies, headers, paths, in order. `url` is its root."""

    def __init__(self, answers: tuple[Callable[[Any], Any], ...]) -> None:
        self.answers = answers
        self.url = ""
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(json.loads(await request.read()))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.paths.append(request.raw_path)
        made = self.answers[min(len(self.bodies), len(self.answers)) - 1](request)
        return made if isinstance(made, web.StreamResponse) else await made


@contextlib.asynccontextmanager
async def provider(*answers: Callable[[Any], Any]) -> AsyncIterator[tuple[Serving, HttpEgress]]:
    """A server that gives these answers, the last again and again, and the way to it."""
    serving = Serving(answers)
    app = web.Application(client_max_size=20_000_000)
    app.router.add_route("*", "/{path:.*}", serving.answer)
    egress = HttpEgress(["127.0.0.1"])
    async with serve(app) as place:
        serving.url = f"http://{place}"
        try:
            yield serving, egress
        finally:
            await egress.close()


async def drained(chunks: Any) -> list[Any]:
    async with contextlib.aclosing(chunks):
        return [chunk async for chunk in chunks]
