"""Runs, and jobs for many of them, over HTTP."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field

from perdure.ports.engine import Entry, Run, Status
from perdure.ports.shapes import Line, Shape, maybe, moment
from perdure.services.workflows.models import Job, Verb
from perdure.services.workflows.runs import Open
from perdure.services.workflows.shapes import Moment, Name, Number, Path


class NewRun(Shape):
    """A run of the workflow in the address."""

    input: Annotated[Any, Field(examples=[{"order": 17}])] = None
    version: Number | None = None
    id: Annotated[str, Field(max_length=100, description="The id that the run is to have.", examples=["order-17"])] = ""


class NewRunOf(NewRun):
    workflow: Name


class StartedShape(Shape):
    id: str
    workflow: str
    version: str


_VALUES = frozenset({"input", "output", "error"})


class RunShape(Shape):
    id: str
    workflow: str
    namespace: str
    name: str
    version: str
    program: str
    status: Status
    started: str
    updated: str
    ended: str | None
    origin: Annotated[str | None, Field(description="The run that this one was forked from.")]
    input: Annotated[Any, Field(description="Left out of lists that do not look for values, as are the next two.")] = (
        None
    )
    output: Any = None
    error: dict[str, Any] | None = None

    @classmethod
    def of(cls, run: Run, *, is_whole: bool = True) -> Self:
        """The run; one of a list that is not whole has no values, which is not to say that they are null."""
        values = run_values(run)
        return cls(**(values if is_whole else {name: values[name] for name in values if name not in _VALUES}))


def run_values(run: Run) -> dict[str, Any]:
    """A run as its answer shows it."""
    return {
        "id": run.id, "workflow": f"{run.namespace}.{run.name}", "namespace": run.namespace, "name": run.name,
        "version": run.version, "program": run.program, "status": run.status, "started": moment(run.started),
        "updated": moment(run.updated), "ended": maybe(run.ended), "origin": run.origin, "input": run.input,
        "output": run.output, "error": run.error,
    }  # fmt: skip


class Runs(Shape):
    items: list[RunShape]
    next: Annotated[str | None, Field(description="A page may be short, or empty, and not the last one.")]


class EntryShape(Shape):
    number: Annotated[int, Field(description="Counted from 1; 0 for progress, which is not kept.")]
    at: str
    type: str
    path: str
    ref: str
    data: dict[str, Any]

    @classmethod
    def of(cls, entry: Entry) -> Self:
        return cls(**entry_values(entry))


def entry_values(entry: Entry) -> dict[str, Any]:
    return {
        "number": entry.number, "at": moment(entry.at), "type": entry.type, "path": entry.path, "ref": entry.ref,
        "data": entry.data,
    }  # fmt: skip


class History(Shape):
    items: list[EntryShape]
    next: str | None


class OpenShape(Shape):
    path: str
    ref: str
    since: str
    status: str
    wait: Annotated[dict[str, Any] | None, Field(description="What it waits for.")]

    @classmethod
    def of(cls, task: Open) -> Self:
        return cls(path=task.path, ref=task.ref, since=moment(task.since), status=task.status, wait=task.wait)


class OpenTasks(Shape):
    items: list[OpenShape]


class Cancel(Shape):
    compensate: Annotated[bool, Field(description="Undo first what was done, in reverse.")] = False


class Retry(Shape):
    path: Annotated[Path | None, Field(description="The task to enter again; absent: the one that faulted.")] = None


class Skip(Shape):
    path: Path | None = None
    output: Annotated[Any, Field(description="What the task is taken to have given; absent: its input.")] = None


class Fork(Shape):
    path: Annotated[Path | None, Field(description="Up to where the history is kept; absent: nothing of it.")] = None
    input: Annotated[Any, Field(description="Another input, to begin anew with: not together with `path`.")] = None
    version: Number | None = None


class Select(Shape):
    """Runs by what is known of them."""

    statuses: list[Status] = []
    workflow: Name | None = None
    version: Number | None = None
    since: Moment | None = None
    until: Moment | None = None


class Many(Shape):
    """One verb for many runs: by their ids, or for all that are selected."""

    verb: Verb
    runs: Annotated[
        list[Annotated[str, Field(max_length=200, pattern=Line)]] | None, Field(min_length=1, max_length=10_000)
    ] = None
    select: Select | None = None
    compensate: bool = False
    path: Path | None = None
    output: Any = None


class AnswerShape(Shape):
    run: str
    ok: bool
    detail: str


class JobShape(Shape):
    id: str
    verb: Verb
    state: Literal["working", "done"]
    done: int
    failed: int
    left: Annotated[int, Field(description="Runs known and not done yet; more may be found.")]
    answers: Annotated[list[AnswerShape], Field(description="The newest of them.")]
    created: str
    by: str

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls(
            id=job.id, verb=job.verb, state=job.state, done=job.done, failed=job.failed, left=len(job.runs),
            answers=[AnswerShape(run=one.run, ok=one.ok, detail=one.detail) for one in job.answers],
            created=moment(job.created), by=job.by,
        )  # fmt: skip
