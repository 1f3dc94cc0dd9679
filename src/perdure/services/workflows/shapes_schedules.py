"""Schedules and their firings over HTTP."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field

from perdure.ports.shapes import Shape, maybe, moment
from perdure.services.workflows.models import CatchUp, Firing, FiringState, Overlap, Schedule, ScheduleKind
from perdure.services.workflows.shapes import Name, Number


class NewSchedule(Shape):
    """Exactly one of `cron`, `every`, `after` and `on` says when."""

    workflow: Name
    version: Number | None = None
    cron: Annotated[str | None, Field(max_length=200, examples=["30 8 * * mon-fri"])] = None
    every: Annotated[dict[str, int] | str | None, Field(examples=[{"minutes": 5}])] = None
    after: Annotated[dict[str, int] | str | None, Field(description="After the run before has ended.")] = None
    on: Annotated[dict[str, Any] | None, Field(description="A strategy of events, as in a document.")] = None
    read: Literal["data", "envelope", "raw"] = "data"
    zone: Annotated[str, Field(max_length=100, examples=["Europe/Berlin"])] = "UTC"
    input: Any = None
    catch_up: CatchUp = "last"
    window: Annotated[int, Field(ge=0, le=2_678_400, description="Seconds that `all` looks back.")] = 86_400
    overlap: Overlap = "skip"


class ScheduleChange(Shape):
    """What is absent stays."""

    version: Number | None = None
    cron: Annotated[str, Field(max_length=200)] = ""
    every: dict[str, int] | str | None = None
    zone: Annotated[str, Field(max_length=100)] = ""
    input: Any = None
    catch_up: CatchUp | None = None
    window: Annotated[int | None, Field(ge=0, le=2_678_400)] = None
    overlap: Overlap | None = None


class ScheduleShape(Shape):
    id: str
    workflow: str
    version: str | None
    kind: ScheduleKind
    spec: Annotated[Any, Field(description="`cron`: the text; `every` and `after`: seconds; `on`: the strategy.")]
    zone: str
    input: Any
    catch_up: CatchUp
    window: int
    overlap: Overlap
    state: Literal["active", "paused"]
    held: Annotated[bool, Field(description="Its workflow is not enabled.")]
    of_document: Annotated[bool, Field(description="It comes and goes with its document.")]
    next: Annotated[str | None, Field(description="When it is due.")]
    last_run: str | None
    created: str
    updated: str

    @classmethod
    def of(cls, one: Schedule) -> Self:
        spec = one.spec / 1000 if one.kind in {"every", "after"} else one.spec
        return cls(
            id=one.id, workflow=one.workflow, version=one.version, kind=one.kind, spec=spec, zone=one.zone,
            input=one.input, catch_up=one.catch_up, window=one.window // 1000, overlap=one.overlap, state=one.state,
            held=one.is_held, of_document=one.of_document, next=maybe(one.due), last_run=one.last_run,
            created=moment(one.created), updated=moment(one.updated),
        )  # fmt: skip


class Schedules(Shape):
    items: list[ScheduleShape]
    next: str | None


class Fire(Shape):
    input: Annotated[Any, Field(description="Instead of the schedule's own.")] = None


class FiringShape(Shape):
    due: str
    state: FiringState
    run: Annotated[str, Field(description="The run that it is, or would have been.")]
    missed: Annotated[int, Field(description="Earlier times that were not made up for.")]
    detail: str

    @classmethod
    def of(cls, one: Firing) -> Self:
        return cls(due=moment(one.due), state=one.state, run=one.run, missed=one.missed, detail=one.detail)


class Firings(Shape):
    items: list[FiringShape]
    next: str | None
