"""Webhooks, and what came of events, over HTTP."""

from typing import Annotated, Self

from pydantic import Field

from perdure.ports.shapes import Line, Shape, maybe, moment
from perdure.services.workflows.models import Webhook
from perdure.services.workflows.shapes import Name, Number


class NewWebhook(Shape):
    """It starts a workflow with the message as input, or delivers the message as an event of a type: name one."""

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=Line, examples=["Payments"])]
    workflow: Name = ""
    version: Number | None = None
    event: Annotated[str, Field(max_length=200, pattern=Line, examples=["com.example.paid"])] = ""


class Rotation(Shape):
    grace: Annotated[int, Field(ge=0, le=604_800, description="Seconds for which the secret before is good.")] = 86_400


class WebhookShape(Shape):
    id: str
    name: str
    address: Annotated[str, Field(description="Where to send messages to, below the API's prefix.")]
    workflow: str
    version: str | None
    event: str
    created: str
    by: str
    rotated: str | None
    earlier_until: Annotated[str | None, Field(description="Until then the secret before is good as well.")]

    @classmethod
    def of(cls, hook: Webhook) -> Self:
        return cls(
            id=hook.id, name=hook.name, address=f"/hooks/{hook.id}", workflow=hook.workflow, version=hook.version,
            event=hook.event, created=moment(hook.created), by=hook.by, rotated=maybe(hook.rotated),
            earlier_until=maybe(hook.until),
        )  # fmt: skip


class WebhookOnce(Shape):
    webhook: WebhookShape
    secret: Annotated[str, Field(description="Shown this once.")]


class Webhooks(Shape):
    items: list[WebhookShape]
    next: str | None


class TakenShape(Shape):
    message: str
    run: str | None


class EventsTaken(Shape):
    taken: Annotated[int, Field(description="Events that were new.")]
    seen: Annotated[int, Field(description="Events that were here before, by source and id.")]
