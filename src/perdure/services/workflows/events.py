"""What the workflows service tells others. Past tense, versioned; a listener of another service may import this file and
nothing else. Questions and answers of runs travel under the types of `language.md` 5.4.
"""

from typing import Any

from perdure.ports.database import Told
from perdure.services.workflows.models import Decision, Firing, Item, Version, Webhook, Workflow

WORKFLOW_PUBLISHED = "dev.perdure.workflow.published.v1"
WORKFLOW_CHANGED = "dev.perdure.workflow.changed.v1"
SCHEDULE_FIRED = "dev.perdure.schedule.fired.v1"
WEBHOOK_CREATED = "dev.perdure.webhook.created.v1"
WEBHOOK_CHANGED = "dev.perdure.webhook.changed.v1"
RUNS_CHANGED = "dev.perdure.runs.changed.v1"

APPROVAL_REQUESTED = "dev.perdure.approval.requested.v1"
APPROVAL_DECIDED = "dev.perdure.approval.decided.v1"
QUESTION_ASKED = "dev.perdure.question.asked.v1"
QUESTION_ANSWERED = "dev.perdure.question.answered.v1"
ITEM_EXPIRED = "dev.perdure.inbox.expired.v1"
ITEM_CLOSED = "dev.perdure.inbox.closed.v1"
ITEM_DELEGATED = "dev.perdure.inbox.delegated.v1"
RUN_FAULTED = "io.serverlessworkflow.workflow.faulted.v1"
RUN_REPAIRED = "dev.perdure.run.repaired.v1"
ASKING = {APPROVAL_REQUESTED: "approval", QUESTION_ASKED: "question"}
ANSWERING = (APPROVAL_DECIDED, QUESTION_ANSWERED, ITEM_EXPIRED, RUN_REPAIRED)
"""What the engine is told, because runs may wait for it."""
_ANSWER = {"approval": APPROVAL_DECIDED, "question": QUESTION_ANSWERED, "repair": RUN_REPAIRED}


def workflow_published(made: Version, *, is_default: bool) -> Told:
    data = {"workflow": made.workflow, "version": made.version, "hash": made.hash, "by": made.by}
    return Told(type=WORKFLOW_PUBLISHED, subject=made.workflow, data={**data, "default": is_default})


def workflow_changed(workflow: Workflow, by: str) -> Told:
    data = {"workflow": workflow.id, "state": workflow.state, "by": by}
    return Told(type=WORKFLOW_CHANGED, subject=workflow.id, data=data)


def schedule_fired(workflow: str, firing: Firing) -> Told:
    data: dict[str, Any] = {
        "schedule": firing.schedule, "workflow": workflow, "due": firing.due, "state": firing.state, "run": firing.run,
        "missed": firing.missed, "detail": firing.detail,
    }  # fmt: skip
    return Told(type=SCHEDULE_FIRED, subject=firing.schedule, data=data)


def webhook_changed(hook: Webhook, what: str, by: str) -> Told:
    """`what`: `created`, `rotated`, `deleted`."""
    type = WEBHOOK_CREATED if what == "created" else WEBHOOK_CHANGED
    return Told(type=type, subject=hook.id, data={"webhook": hook.id, "name": hook.name, "what": what, "by": by})


def runs_changed(verb: str, runs: list[str], by: str) -> Told:
    """Somebody steered runs: the record of who did what."""
    return Told(
        type=RUNS_CHANGED, subject=runs[0] if len(runs) == 1 else "", data={"verb": verb, "runs": runs, "by": by}
    )


def decided(item: Item, decision: Decision) -> Told:
    """The answer that the run waits for; `id` makes it one however often it is told."""
    data = {
        "approved": decision.approved, "by": decision.by, "at": decision.at, "reason": decision.reason,
        "data": decision.data, "hash": item.hash, "item": item.id, "run": item.run,
    }  # fmt: skip
    if item.asker:
        data["asker"] = item.asker
    return Told(type=_ANSWER[item.kind], subject=item.request, data=data, id=f"{item.id}-decided")


def expired(item: Item) -> Told:
    data = {"item": item.id, "run": item.run, "deadline": item.deadline}
    return Told(type=ITEM_EXPIRED, subject=item.request, data=data, id=f"{item.id}-expired")


def closed(item: Item) -> Told:
    """Its run has ended otherwise."""
    return Told(type=ITEM_CLOSED, subject=item.request, data={"item": item.id, "run": item.run})


def delegated(item: Item) -> Told:
    last = item.delegations[-1]
    data = {"item": item.id, "run": item.run, "by": last.by, "to": list(last.to), "reason": last.reason}
    return Told(type=ITEM_DELEGATED, subject=item.request, data=data)
