"""`fork`: branches side by side (language.md B12, T10, T11, T19, T20).

Under the fork's frame, each branch has a frame of kind `branch`, which holds the branch's own view of the context.
"""

from perdure.interpreter import dataflow
from perdure.interpreter.cancelling import cancel_below
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.outcomes import WAITS, Elsewhere, Outcome, begin
from perdure.interpreter.program import Frame, Node
from perdure.interpreter.state import Run
from perdure.language.values import Json, same


class Fork:
    """Compiled branches: a list of one task each."""

    __slots__ = ("any_", "branches", "compete")

    def __init__(self, branches: tuple[str, ...], *, compete: bool, any_: bool) -> None:
        self.branches = branches
        self.compete = compete
        self.any_ = any_


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    fork = node.definition["fork"]
    pointer = node.pointer + "/fork/branches"
    builder.tasks(fork["branches"], pointer, around, jumps=False)
    lists = []
    for index, branch in enumerate(builder.program.lists[pointer]):
        lists.append(f"{pointer}/{index}")
        builder.program.lists[lists[-1]] = (branch,)
    compete = fork.get("compete") is True
    any_ = (node.definition.get("metadata") or {}).get("compete") == "any"
    node.body = Fork(tuple(lists), compete=compete, any_=compete and any_)


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    branches = node.body.branches
    if not branches:
        return []
    frame["context"] = dataflow.context(run, frame)
    frame["outputs"] = [None] * len(branches)
    frame["left"] = len(branches)
    frame["branches"] = []
    run.place(frame)
    for index, list_ in enumerate(branches):
        branch: Frame = {
            "path": f"{frame['path']}/fork/branches/{index}",
            "node": node.pointer,
            "ref": frame["ref"],
            "kind": "branch",
            "parent": frame["path"],
            "scope": f"{frame['path']}/fork/branches/{index}",
            "started": run.now,
            "input": None,
            "index": index,
        }
        for key in ("at", "depth", "deadline"):
            if key in frame:
                branch[key] = frame[key]
        begin(branch, list_, f"{frame['path']}/fork/branches", frame["input"])
        run.place(branch)
        frame["branches"].append(branch["path"])
        run.ready.append(branch["path"])
    return WAITS


def list_done(run: Run, node: Node, branch: Frame, value: Json) -> Outcome:
    """A branch is through."""
    fork = run.frames[branch["parent"]]
    if "ending" in branch:
        fork["ending"] = True
    if node.body.compete or "ending" in branch:
        _apply(run, fork, [branch])
        cancel_below(run, fork, {})  # T20: the others lose
        return Elsewhere(fork, value)
    fork["outputs"][branch["index"]] = value
    fork["left"] -= 1
    if "context" in branch:
        fork.setdefault("exports", []).append([branch["index"], branch["context"]])
    run.drop(branch)
    return _joined(run, fork)


def _joined(run: Run, fork: Frame) -> Outcome:
    if fork["left"]:
        return WAITS
    exports = sorted(fork.get("exports", ()), key=lambda export: export[0])
    _apply(run, fork, [{"context": context} for _index, context in exports])
    return Elsewhere(fork, fork["outputs"])


def _apply(run: Run, fork: Frame, branches: list[Frame]) -> None:
    """T11: what each branch changed against its snapshot, in declared order."""
    before = fork["context"]
    for branch in branches:
        if "context" in branch:
            _merge(run, fork, before, branch["context"])


def _merge(run: Run, fork: Frame, before: Json, after: Json) -> None:
    current = dataflow.context(run, fork)
    if not (isinstance(before, dict) and isinstance(after, dict) and isinstance(current, dict)):
        if not same(after, before):
            run.context_frame(fork)["context"] = after
        return
    merged = {key: value for key, value in current.items() if key in after or key not in before}
    for key, value in after.items():
        if key not in before or not same(before[key], value):
            merged[key] = value
    run.context_frame(fork)["context"] = merged


def absorbs(run: Run, branch: Frame) -> bool:
    """Whether the fork goes on without this branch: with `metadata.compete: any`, while others are left (T20)."""
    node = run.program.nodes[branch["node"]]
    any_: bool = node.body.any_
    return any_ and run.frames[branch["parent"]]["left"] > 1


def lose(run: Run, branch: Frame) -> None:
    """A branch failed, and the others go on."""
    run.frames[branch["parent"]]["left"] -= 1
    run.drop(branch)
