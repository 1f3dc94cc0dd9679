"""A workflow's own faults: problem values (RFC 9457) of the specification's standard types.

`{"type", "status", "title"?, "detail"?, "instance"?}`. Two types are equal when both are one of the eight standard
names under any known base (T28); every other type is compared as text.
"""

from typing import Any, TypeAlias

Problem: TypeAlias = dict[str, Any]

BASE = "https://open-workflow-specification.org/spec/1.0.0/errors/"
_BASES = tuple(
    f"https://{domain}{path}"
    for domain in ("open-workflow-specification.org", "serverlessworkflow.io")
    for path in ("/spec/1.0.0/errors/", "/dsl/errors/types/", "/errors/types/")
)

STANDARD: dict[str, int] = {
    "configuration": 400,
    "validation": 400,
    "expression": 400,
    "authentication": 401,
    "authorization": 403,
    "timeout": 408,
    "communication": 500,
    "runtime": 500,
}
"""Standard name -> default status (E3)."""


def problem(
    name: str,
    *,
    status: int | None = None,
    title: str | None = None,
    detail: str | None = None,
    instance: str | None = None,
) -> Problem:
    """A problem of a standard type. KeyError when `name` is none of STANDARD."""
    made: Problem = {"type": BASE + name, "status": STANDARD[name] if status is None else status}
    for key, value in (("title", title), ("detail", detail), ("instance", instance)):
        if value is not None:
            made[key] = value
    return made


def standard_name(type_: object) -> str | None:
    """The standard name that a type URI stands for under any known base, or None."""
    if isinstance(type_, str):
        for base in _BASES:
            if type_.startswith(base) and type_[len(base) :] in STANDARD:
                return type_[len(base) :]
    return None


def is_same_type(left: object, right: object) -> bool:
    """Whether two error types are equal (T28)."""
    if left == right:
        return True
    name = standard_name(left)
    return name is not None and name == standard_name(right)


def placed(problem_: Problem, frame: dict[str, Any]) -> Problem:
    """The problem with its `instance` (E2): inside a function the calling task, and the detail names the place.

    What a `raise` says stays as it is (T27).
    """
    made = {**problem_, "instance": frame["ref"]}
    is_written = frame["node"].startswith("/")  # an agent's steps stand nowhere in the document
    if "at" in frame and frame["node"] != frame["ref"] and frame["kind"] != "raise" and is_written:
        place = f"This happened at {frame['node']}."
        made["detail"] = f"{made['detail']} {place}" if made.get("detail") else place
    return made


class WorkflowFault(Exception):
    """A workflow's own fault on its way to the machine, which turns it into a value of the history."""

    def __init__(self, problem_: Problem) -> None:
        super().__init__(problem_["type"])
        self.problem = problem_
