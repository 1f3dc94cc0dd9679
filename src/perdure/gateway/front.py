"""What listens from a process's first moment: the gateway once it is built, and until then one that says what is missing.

Strangers hear which part it is; where that part is looked for, and why it does not answer, is in the log alone.
"""

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from perdure.gateway import problems
from perdure.gateway.app import Edge
from perdure.gateway.standing import Standing

_LIVE = ("/health/live", "/live")
_READY = ("/health", "/health/ready", "/ready", "/")
_HEADERS = {"Retry-After": "1", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Front:
    """An ASGI application that becomes the gateway."""

    def __init__(self) -> None:
        self.missing = ""
        """The part that is waited for."""
        self._standing = Standing()
        self._edge: Edge | None = None

    def __repr__(self) -> str:
        return f"Front({self._edge or self.missing or 'beginning'})"

    @property
    def standing(self) -> Standing:
        return self._standing if self._edge is None else self._edge.standing

    def become(self, edge: Edge) -> None:
        """Everything is there: from now on the gateway answers."""
        self._edge = edge
        if self._standing.draining:
            edge.standing.drain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._edge is not None:
            await self._edge(scope, receive, send)
        elif scope["path"] in _LIVE:
            await JSONResponse({"status": "live"}, headers=_HEADERS)(scope, receive, send)
        elif scope["path"] in _READY:
            await JSONResponse(self._state(), 503, headers=_HEADERS)(scope, receive, send)
        else:
            await problems.answer(send, 503, _HEADERS, {"code": "unavailable", "detail": self._sentence()})

    def _state(self) -> dict[str, object]:
        parts = {self.missing: "failing"} if self.missing else {}
        return {"status": "not ready", "parts": parts, "reason": self._sentence()}

    def _sentence(self) -> str:
        if self.missing:
            return f"This process waits for its {self.missing}; the log says why."
        return "This process begins."
