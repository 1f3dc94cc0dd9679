"""The dependency that keeps a caller who is bound to a project within it: agents of the project may be changed and those of
the whole tenant used; conversations and executions are those of the project alone.
"""

from starlette.requests import Request

from perdure.errors import NotFound
from perdure.ports.edge import Caller, caller
from perdure.services.agents.agents import Definitions
from perdure.services.agents.contexts import Contexts
from perdure.services.agents.executions import Executions
from perdure.services.agents.models import Definition, Tool

_CONTEXTS = "/api/v1/contexts/"
_USES = "/chat"


class Within:
    """Looks at what an address names. Costs others nothing."""

    def __init__(self, definitions: Definitions, executions: Executions, contexts: Contexts) -> None:
        self._definitions = definitions
        self._executions = executions
        self._contexts = contexts

    def __repr__(self) -> str:
        return "Within(agents, executions, contexts)"

    async def __call__(self, request: Request) -> None:
        by, id, run = caller(request), request.path_params.get("id"), request.path_params.get("run")
        if not by.project or id is None:
            return
        path = request.scope["path"]
        if path.startswith(_CONTEXTS):
            await self.check_context(by, id)
        else:
            await self.check_agent(by, id, changes=request.method == "POST" and not path.endswith(_USES))
        if run is not None and (await self._executions.get(by.tenant, run)).project != by.project:
            raise NotFound(f"There is no execution {run[:80]!r}.")

    async def check_agent(self, by: Caller, id: str, *, changes: bool = False) -> None:
        """NotFound for an agent of another project; to change one of the whole tenant is as good as that."""
        found = await self._definitions.get(by.tenant, id)
        if found.project != by.project and (found.project or changes):
            raise NotFound(f"There is no agent {id!r}{' of your project' if not found.project else ''}.")

    async def check_context(self, by: Caller, id: str) -> None:
        """NotFound for a conversation of another project."""
        if by.project and id and (await self._contexts.get(by.tenant, id)).project != by.project:
            raise NotFound(f"There is no context {id!r}.")

    async def check_tools(self, by: Caller, definition: Definition) -> None:
        """NotFound for a tool, or an agent to hand over to, that reaches out of the project."""
        if not by.project:
            return
        for agent in definition.handover:
            await self.check_agent(by, agent)
        for tool in (tool for tool in definition.tools if isinstance(tool, Tool)):
            if tool.workflow and not tool.workflow.startswith(f"{by.project}."):
                raise NotFound(f"There is no workflow {tool.workflow!r}.")
            if tool.agent:
                await self.check_agent(by, tool.agent)
