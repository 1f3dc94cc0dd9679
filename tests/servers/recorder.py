"""A local HTTP server that keeps what it was asked and answers as a test tells it to."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

from aiohttp import web

from tests.servers.stand_ins import serving


class Asked(NamedTuple):
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Asked], web.StreamResponse | Awaitable[web.StreamResponse]]


class Recorder:
    """`place` is "127.0.0.1:port", `url` the root without a slash, `asked` every request so far."""

    def __init__(self, place: str, asked: list[Asked]) -> None:
        self.place = place
        self.url = f"http://{place}"
        self.asked = asked

    def __repr__(self) -> str:
        return f"Recorder({self.place}, {len(self.asked)} asked)"


@contextlib.asynccontextmanager
async def recording(answer: Answer | None = None) -> AsyncIterator[Recorder]:
    """A server that answers every request by `answer`; without one by 200 and an empty JSON object."""
    asked: list[Asked] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen = Asked(request.method, request.raw_path, headers, await request.read())
        asked.append(seen)
        made = web.json_response({}) if answer is None else answer(seen)
        return made if isinstance(made, web.StreamResponse) else await made

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with serving(app) as place:
        yield Recorder(place, asked)
