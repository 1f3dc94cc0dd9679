"""`for`: the list once for each item, each iteration going on from the last one's output (language.md B11, T12)."""

from perdure.interpreter import dataflow
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.outcomes import Outcome, begin
from perdure.interpreter.program import Frame, Node, Site, invalid
from perdure.interpreter.state import Run
from perdure.language.values import Json


class For:
    """A compiled loop."""

    __slots__ = ("at", "each", "in_", "list", "while_")

    def __init__(self, each: str, at: str, in_: Site, while_: Site | None, list_: str) -> None:
        self.each = each
        self.at = at
        self.in_ = in_
        self.while_ = while_
        self.list = list_


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    loop = node.definition["for"]
    each, at = loop.get("each", "item"), loop.get("at", "index")
    in_ = builder.transformation(loop.get("in"), "body", around, node.pointer + "/for/in")
    if in_ is None:
        raise invalid(node.pointer + "/for/in", "what to loop over is missing.")
    while_ = node.definition.get("while")
    site = None
    if while_ is not None:
        site = builder.field(while_, "body", around, node.pointer + "/while", own=(each, at))
    list_ = builder.tasks(node.definition["do"], node.pointer + "/do", around.adding(each, at))
    node.body = For(each, at, in_, site, list_)


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    items = dataflow.evaluate(run, frame, node.body.in_, frame["input"])
    if not isinstance(items, list):
        raise dataflow.fault("expression", f"`for.in` must give an array, not {dataflow.kind(items)}.")
    frame["items"] = items
    return _iterate(run, node, frame, 0, frame["input"])


def _iterate(run: Run, node: Node, frame: Frame, number: int, value: Json) -> Outcome:
    """The next iteration, or the end."""
    body, items = node.body, frame["items"]
    if number >= len(items):
        return value
    frame["iteration"] = number
    frame["vars"] = {body.each: items[number], body.at: number}
    if body.while_ is not None and not dataflow.condition(run, frame, body.while_, value):
        return value
    return begin(frame, body.list, f"{frame['path']}#{number}/do", value)


def list_done(run: Run, node: Node, frame: Frame, value: Json) -> Outcome:
    if "ending" in frame:
        return value
    return _iterate(run, node, frame, frame["iteration"] + 1, value)
