"""One process of the platform: everything of `wiring` for running documents, the services around it, and the gateway."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from perdure import __version__, wiring
from perdure.adapters.egress import HttpEgress
from perdure.adapters.logs import LineLog, bridge
from perdure.gateway.app import Edge, Parts, build
from perdure.platform import edge, readiness, roles, trust, working
from perdure.platform.opening import Identity, Opening, Subscription
from perdure.platform.reaching import missing, part
from perdure.platform.roles import Role
from perdure.platform.working import Work
from perdure.ports.bus import Exchange
from perdure.ports.spending import Later
from perdure.services.agents import events as agent_events
from perdure.services.agents import listeners as agent_listeners
from perdure.services.agents import routes as agent_routes
from perdure.services.agents import routes_gateway as gateway_routes
from perdure.services.agents.whole import Agents
from perdure.services.identity import routes as identity_routes
from perdure.services.workflows import events as workflow_events
from perdure.services.workflows import routes as workflow_routes
from perdure.services.workflows.workflows import Workflows
from perdure.settings import Settings


@dataclass
class Platform:
    """One process of the platform, open."""

    installation: wiring.Installation
    edge: Edge
    identity: Identity
    log: LineLog
    tenant: str
    warnings: list[str] = field(default_factory=list)

    async def first_key(self) -> str | None:
        """The owner key of a new installation; None when it was made before."""
        return await self.identity.tenants.first_key(self.tenant)


@contextlib.asynccontextmanager
async def opened(
    directory: Path,
    settings: Settings,
    *,
    modules: Iterable[str] = (),
    secrets_file: str | None = None,
    environ: Mapping[str, str] | None = None,
    role: Role = "everything",
    work: Work = Work(),
) -> AsyncIterator[Platform]:
    """One process of the platform. Errors as of `roles.check` and `wiring.installation`; Unavailable when a server cannot be
    reached, or a database must be migrated first."""
    warnings = roles.check(role, settings)
    log = LineLog(level=settings.log_level)
    bridge(log)
    async with contextlib.AsyncExitStack() as last, contextlib.AsyncExitStack() as stack:
        opening, spending = Opening(directory, settings, stack, last), Later()
        installation = wiring.installation(
            directory,
            settings,
            modules=modules,
            secrets_file=secrets_file,
            environ=environ,
            spending=spending,
            has_outlet=True,
        )
        opening.role = role
        installation.table.surround(opening.traced)
        with part("engine"):
            await stack.enter_async_context(installation.open())
        opening.standing(installation.engine)
        clock, sealing = installation.clock, opening.sealing()
        egress = HttpEgress([*settings.egress_allow, *trust.places(settings.oidc)])
        stack.push_async_callback(egress.close)
        fetch = trust.fetcher(egress)
        cache = opening.cache(clock)
        with part("database"):
            await opening.prepare()
            identity, identity_database = await opening.identity(clock, sealing, fetch)
            workflows, workflows_database = await opening.workflows(installation, sealing)
            agents, agents_database = await opening.agents(installation, cache, spending, workflows)
        bus = opening.bus(clock, workflows_database)
        databases = {"identity": identity_database, "workflows": workflows_database, "agents": agents_database}
        await opening.connect(bus, _subscriptions(workflows, agents), list(databases.values()), clock)
        watched = readiness.watched(cache, bus)
        warnings += installation.warnings + await missing(watched)
        models = edge.model_gateway(installation, settings, cache, agents.accounts, log)
        parts = Parts(
            identity=identity.who,
            cache=cache,
            clock=clock,
            log=log,
            meters=opening.meters,
            spans=opening.spans,
            routers=[
                identity_routes.router(
                    identity.tenants, identity.keys, identity.users, identity.sessions, identity.tokens
                ),
                workflow_routes.router(workflows),
                agent_routes.router(agents),
            ],
            others=[(gateway_routes.PREFIX, gateway_routes.router(models, edge.WIRES, edge.VECTORS))],
            forms=gateway_routes.forms(edge.WIRES),
            runs=workflows.runs,
            checks=readiness.needed(installation.engine, databases),
            watched=watched,
            rules=edge.rules(settings),
            version=__version__,
        )
        if opening.works:
            await opening.temporal(installation, identity.tenants, work, workflows.listeners)
        if role == "worker":
            parts = working.of_worker(parts)
        yield Platform(installation, build(parts), identity, log, settings.tenant, warnings)


def _subscriptions(workflows: Workflows, agents: Agents) -> list[Subscription]:
    """Who hears whom."""
    place: Exchange = "workflow.events"
    return [
        ("workflows", place, workflow_events.ANSWERING, workflows.listeners.answered),
        ("inbox", place, tuple(workflow_events.ASKING), workflows.listeners.asked),
        ("agents", place, (agent_events.APPROVAL_DECIDED,), agents.listeners.decided),
        ("budgets", place, (agent_events.BUDGET_SETTLED,), agents.listeners.settled),
        ("questions", place, (agent_events.BUDGET_SETTLED,), workflows.listeners.withdrawn),
        ("executions", place, agent_listeners.MENDED, agents.listeners.mended),
    ]
