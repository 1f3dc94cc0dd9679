"""The last layer: calls the route that was found and authorised, and no other."""

from contextlib import AsyncExitStack

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from perdure.gateway.exchange import entry


class Dispatch:
    """Calls the endpoint directly where it wants nothing but the request; else through FastAPI or Starlette."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = entry(scope)
        if route.direct is not None:
            answer = await route.direct(Request(scope, receive, send))
            await answer(scope, receive, send)
            return
        original = route.context.original_route
        scope["endpoint"] = route.context.endpoint
        if isinstance(original, APIRoute):
            scope["route"] = original
            async with AsyncExitStack() as files:
                scope["fastapi_middleware_astack"] = files
                await route.context.app(scope, receive, send)
        elif isinstance(original, Mount):
            _, below = route.context.matches(scope)
            scope.update(below)
            await route.context.handle(scope, receive, send)
        else:
            await route.context.app(scope, receive, send)
