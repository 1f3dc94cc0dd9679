"""The dependency that keeps a caller who is bound to a project within it, wherever an address names one thing."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request

from perdure.ports.edge import Caller, caller
from perdure.services.workflows.inbox import Inbox
from perdure.services.workflows.models import no_item, no_schedule, no_webhook
from perdure.services.workflows.projects import check_run, check_workflow, is_of
from perdure.services.workflows.runs import Runs
from perdure.services.workflows.schedules import Schedules
from perdure.services.workflows.webhooks import Webhooks

_API = "/api/v1/"


class Within:
    """Dependency of routes with an id in their path: what it names is of the caller's project. Costs others nothing."""

    def __init__(self, runs: Runs, schedules: Schedules, webhooks: Webhooks, inbox: Inbox) -> None:
        self._runs = runs
        self._schedules = schedules
        self._webhooks = webhooks
        self._inbox = inbox
        self._checks: dict[str, Callable[[Caller, str], Awaitable[None]]] = {
            "workflows": self._workflow, "runs": self._run, "schedules": self._schedule, "webhooks": self._webhook,
            "inbox": self._item,
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"Within({', '.join(self._checks)})"

    async def __call__(self, request: Request) -> None:
        by, id = caller(request), request.path_params.get("id")
        if by.project and id is not None:
            await self._checks[request.scope["path"].removeprefix(_API).partition("/")[0]](by, id)

    async def _workflow(self, by: Caller, id: str) -> None:
        check_workflow(by, id)

    async def _run(self, by: Caller, id: str) -> None:
        check_run(by, await self._runs.get(by.tenant, id))

    async def _schedule(self, by: Caller, id: str) -> None:
        if not is_of((await self._schedules.get(by.tenant, id)).workflow, by.project):
            raise no_schedule(id)

    async def _webhook(self, by: Caller, id: str) -> None:
        if not is_of((await self._webhooks.get(by.tenant, id)).workflow, by.project):
            raise no_webhook(id)

    async def _item(self, by: Caller, id: str) -> None:
        if not (await self._inbox.get(by.tenant, id)).source.startswith(f"/{by.project}/"):
            raise no_item(id)
