"""`switch`: the first case that matches says where to go (language.md B21, T9, T17)."""

from perdure.interpreter import dataflow
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.outcomes import Outcome
from perdure.interpreter.program import Frame, Node, Site, invalid
from perdure.interpreter.state import Run


class Switch:
    """Cases in declared order, each a condition (None: always) and a directive."""

    __slots__ = ("cases",)

    def __init__(self, cases: list[tuple[Site | None, int]]) -> None:
        self.cases = cases


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    cases: list[tuple[Site | None, int]] = []
    default: tuple[None, int] | None = None
    for index, item in enumerate(node.definition["switch"]):
        name, case = next(iter(item.items()))
        pointer = f"{node.pointer}/switch/{index}/{name}"
        then = builder.directive(case.get("then"), targets, pointer)
        if case.get("when") is not None:
            cases.append((builder.field(case["when"], "body", around, pointer + "/when"), then))
        elif default is not None:
            raise invalid(pointer, "this is a second default case.")
        else:
            default = (None, then)
    node.body = Switch([*cases, default] if default is not None else cases)


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    value = frame["input"]
    for when, then in node.body.cases:
        if when is None or dataflow.condition(run, frame, when, value):
            frame["then"] = then
            break
    return value
