"""A real HTTP server that speaks chat completions as a test tells it to: well, badly, slowly, or not at all."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import msgspec
from aiohttp import web

Script = Callable[[dict[str, Any], web.Request], Awaitable[web.StreamResponse] | web.StreamResponse]


def completion(text: str | None, *, finish: str = "stop", **more: Any) -> web.Response:
    """A whole, well-formed answer."""
    body = {
        "id": "c-1",
        "object": "chat.completion",
        "model": "scripted-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text, **more}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }
    return web.json_response(body)


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error as these endpoints write them."""
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)


class Endpoint:
    """`script` holds one answer for each request, the last for all that follow; `requests` what was received."""

    def __init__(self, script: list[Script]) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = msgspec.json.decode(await request.read())
        self.requests.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        given = self.script[min(len(self.requests), len(self.script)) - 1](body, request)
        return given if isinstance(given, web.StreamResponse) else await given


@contextlib.asynccontextmanager
async def endpoint(*script: Script) -> AsyncIterator[Endpoint]:
    """Serve on a free port of loopback."""
    serving = Endpoint(list(script))
    application = web.Application(client_max_size=20_000_000)
    application.router.add_post("/v1/chat/completions", serving.answer)
    application.router.add_post("/v1/embeddings", serving.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        serving.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield serving
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def endpoints(*scripts: Script) -> Iterator[list[Endpoint]]:
    """One for each script, in a thread of their own, for tests that have no loop or outlive one."""
    served: list[Endpoint] = []
    ready, over = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with contextlib.AsyncExitStack() as stack:
            for script in scripts:
                served.append(await stack.enter_async_context(endpoint(script)))
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield served
    finally:
        loops[0].call_soon_threadsafe(over.set)
        thread.join(30)
