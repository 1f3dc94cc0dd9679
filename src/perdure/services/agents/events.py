"""What the agents service tells others. Past tense, versioned; a listener of another service may import this file and
nothing else. What a person is asked travels under the types of `language.md` 5.4.
"""

from typing import Any

from perdure.ports.database import Told
from perdure.services.agents.models import NANO, Agent, Budget, Conversation, Execution, Mark, Standing, Template

AGENT_CHANGED = "dev.perdure.agent.changed.v1"
EXECUTION_ENDED = "dev.perdure.execution.ended.v1"
CONTEXT_DELETED = "dev.perdure.context.deleted.v1"
PROMPT_WRITTEN = "dev.perdure.prompt.written.v1"
BUDGET_CHANGED = "dev.perdure.budget.changed.v1"
BUDGET_NEARED = "dev.perdure.budget.neared.v1"
BUDGET_LIFTED = "dev.perdure.budget.lifted.v1"
BUDGET_SETTLED = "dev.perdure.budget.settled.v1"
APPROVAL_REQUESTED = "dev.perdure.approval.requested.v1"
APPROVAL_DECIDED = "dev.perdure.approval.decided.v1"

LIFT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "add": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 1_000_000_000_000,
            "description": "By how much it is lifted for this period: US dollars, or tokens. As much again by default.",
        }
    },
    "additionalProperties": False,
}
"""The data of the answer to a budget that is used up."""


def agent_changed(agent: Agent, what: str, by: str) -> Told:
    """`what`: `created`, `version`, `archived`, `restored`."""
    data = {"agent": agent.id, "newest": agent.newest, "state": agent.state, "what": what, "by": by}
    return Told(type=AGENT_CHANGED, subject=agent.id, data=data)


def execution_ended(execution: Execution) -> Told:
    data = {"run": execution.run, "agent": execution.agent, "version": execution.version, "state": execution.state}
    return Told(type=EXECUTION_ENDED, subject=execution.run, data={**data, "context": execution.context})


def context_deleted(found: Conversation, by: str) -> Told:
    return Told(type=CONTEXT_DELETED, subject=found.id, data={"context": found.id, "agent": found.agent, "by": by})


def prompt_written(made: Template) -> Told:
    data = {"prompt": made.name, "version": made.version, "by": made.by}
    return Told(type=PROMPT_WRITTEN, subject=made.name, data=data)


def budget_changed(budget: Budget, what: str, by: str) -> Told:
    """`what`: `created`, `changed`, `deleted`."""
    data = {"budget": budget.id, "name": budget.name, "scope": budget.scope, "what": what, "by": by}
    return Told(type=BUDGET_CHANGED, subject=budget.id, data=data)


def budget_neared(standing: Standing, mark: Mark) -> Told:
    """The share of it that a warning was asked for at is used up."""
    return Told(type=BUDGET_NEARED, subject=standing.budget.id, data=_account(standing), id=mark.id)


def budget_used_up(standing: Standing, mark: Mark, run: str, deadline: int | None) -> Told:
    """Ask a person whether it goes on, until its period is over. Who sees to the tenant may answer."""
    account = _account(standing)
    name = standing.budget.name or standing.budget.id
    whose = f" of the {standing.budget.scope} {standing.subject}" if standing.budget.scope != "tenant" else ""
    title = f"The budget {name}{whose} is used up. May it be lifted?"
    data: dict[str, Any] = {
        "title": title,
        "details": {**account, "firstRun": run},
        "form": LIFT,
        "to": ["role:owner", "role:admin"],
    }
    if deadline is not None:
        data["deadline"] = deadline
    return Told(type=APPROVAL_REQUESTED, subject=standing.budget.id, data=data, id=mark.id)


def budget_settled(budget: Budget, mark: Mark, outcome: str, by: str) -> Told:
    """What became of the question whether a budget may be lifted: `lifted`, `refused`, or `changed` or `deleted` where it
    needs no answer any more. Steps of runs wait for this."""
    data = {"budget": budget.id, "subject": mark.subject, "period": mark.window, "outcome": outcome, "by": by}
    return Told(type=BUDGET_SETTLED, subject=mark.id, data=data, id=f"{mark.id}-settled")


def budget_lifted(budget: Budget, mark: Mark) -> Told:
    extra = _amount(budget, mark.extra)
    data = {"budget": budget.id, "subject": mark.subject, "period": mark.window, "add": extra, "by": mark.by}
    return Told(type=BUDGET_LIFTED, subject=budget.id, data=data)


def _account(standing: Standing) -> dict[str, Any]:
    budget = standing.budget
    return {
        "budget": budget.id, "scope": budget.scope, "subject": standing.subject, "period": standing.window,
        "measure": budget.measure, "spent": _amount(budget, standing.spent), "limit": _amount(budget, standing.limit),
    }  # fmt: skip


def _amount(budget: Budget, amount: int) -> float | int:
    return amount / NANO if budget.measure == "cost" else amount
