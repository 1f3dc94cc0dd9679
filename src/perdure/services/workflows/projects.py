"""What a project is of the workflows service: the workflows of the namespace that is called like it, and what belongs to them.

A caller who is bound to a project finds nothing else of the tenant here, in the same words as what does not exist.
"""

from collections.abc import Iterator

from perdure.errors import Denied, NotFound
from perdure.language.values import Json
from perdure.ports.edge import Caller
from perdure.ports.engine import Run
from perdure.services.workflows.models import no_run, no_workflow


def is_of(workflow: str, project: str) -> bool:
    """Whether a workflow is of a project."""
    return workflow.startswith(f"{project}.")


def chosen(by: Caller, project: str = "") -> str:
    """The project that a list is of; empty for all of the tenant. NotFound for another than one's own."""
    if by.project and project not in ("", by.project):
        raise NotFound(f"There is no project {project!r}.")
    return by.project or project


def named(by: Caller, workflow: str | None, project: str = "") -> str | None:
    """Which workflows a list of runs is of (`ports/engine.Query.workflow`)."""
    within = chosen(by, project)
    if not within:
        return workflow
    namespace, _, name = (workflow or "").rpartition(".")
    if namespace not in ("", within):
        raise no_workflow(workflow or "")
    return f"{within}.{name}"


def check_workflow(by: Caller, workflow: str) -> None:
    """NotFound for a workflow of another project."""
    if by.project and not is_of(workflow, by.project):
        raise no_workflow(workflow)


def check_run(by: Caller, run: Run) -> None:
    """NotFound for a run of another project."""
    if by.project and run.namespace != by.project:
        raise no_run(run.id)


def check_reach(project: str, document: Json) -> None:
    """Denied for a document that starts workflows of other namespaces: what is bound to a project stays in it."""
    for namespace in _called(document):
        if namespace != project:
            raise Denied(
                f"You are bound to the project {project}, and the document starts a workflow of {str(namespace)[:80]!r}.",
                hint="Somebody who is bound to no project may publish it.",
            )


def _called(value: Json) -> Iterator[Json]:
    """The namespaces of all workflows that a document runs (`run: {workflow: …}`), wherever it does so."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            started = found.get("workflow")
            if isinstance(started, dict) and "namespace" in started:
                yield started["namespace"]
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found
