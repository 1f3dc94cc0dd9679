"""Questions to people over HTTP."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field

from perdure.ports.shapes import Shape, maybe, moment
from perdure.services.workflows.models import Item, ItemState
from perdure.services.workflows.shapes import Reason


class DelegationShape(Shape):
    by: str
    to: list[str]
    at: str
    reason: str


class DecisionShape(Shape):
    approved: bool
    by: str
    at: str
    reason: str
    data: Any


class ItemShape(Shape):
    id: str
    kind: Literal["approval", "question", "repair"]
    state: ItemState
    title: str
    details: Any
    form: Annotated[Any, Field(description="JSON Schema of the `data` of a decision.")]
    to: list[str]
    hash: Annotated[str, Field(description="Of what is shown. A decision has to name it.")]
    run: str
    task: str
    request: str
    asked: str
    deadline: str | None
    delegations: list[DelegationShape]
    decision: DecisionShape | None

    @classmethod
    def of(cls, item: Item) -> Self:
        delegations = [
            DelegationShape(by=one.by, to=list(one.to), at=moment(one.at), reason=one.reason)
            for one in item.delegations
        ]
        made = item.decision
        decision = None if made is None else DecisionShape(
            approved=made.approved, by=made.by, at=moment(made.at), reason=made.reason, data=made.data
        )  # fmt: skip
        return cls(
            id=item.id, kind=item.kind, state=item.state, title=item.title, details=item.details, form=item.form,
            to=list(item.to), hash=item.hash, run=item.run, task=item.task, request=item.request,
            asked=moment(item.asked), deadline=maybe(item.deadline), delegations=delegations, decision=decision,
        )  # fmt: skip


class Items(Shape):
    items: list[ItemShape]
    next: str | None


class Decide(Shape):
    hash: Annotated[str, Field(min_length=1, max_length=200, description="The `hash` of what you were shown.")]
    approved: bool = True
    reason: Reason = ""
    data: Annotated[Any, Field(description="What the form asks for.")] = None


class Delegate(Shape):
    to: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200)]],
        Field(min_length=1, max_length=100, examples=[["role:operator"]]),
    ]
    reason: Reason = ""
