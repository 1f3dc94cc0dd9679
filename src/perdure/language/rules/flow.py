"""The rules on the flow: names of tasks and cases, targets of `then`, defaults (language.md E1, T16-T19)."""

from perdure.language.grammar.table import DIRECTIVES
from perdure.language.rules.report import Report, below, nearest, shown
from perdure.language.rules.survey import Survey, TaskEntry, TaskList
from perdure.language.values import Json


def check_flow(survey: Survey, report: Report) -> None:
    """Checks every list of tasks, and every task that stands in none."""
    for tasks in survey.lists:
        _check_names(tasks, report)
        names = {} if tasks.branches else {entry.name: None for entry in tasks.entries}
        why = "Branches run side by side, so" if tasks.branches else ""
        for entry in tasks.entries:
            _check_targets(entry, names, why, report)
        if not tasks.branches:
            _lint_unreachable(tasks, report)
    for entry in survey.singles:
        _check_targets(entry, {}, "This task stands in no list, so", report)


def _check_names(tasks: TaskList, report: Report) -> None:
    seen: dict[str, str] = {}
    what = "branch" if tasks.branches else "task"
    for name, _, _, pointer in tasks.entries:
        if name in DIRECTIVES:
            message = f"'{name}' is a flow directive and cannot name a {what}."
            report.error("reserved-name", pointer, message, "Choose another.", at_key=True)
        elif not name.strip():
            report.error("empty", pointer, f"A {what} needs a name.", at_key=True)
        elif name in seen:
            message = f"Two {what}es of this fork" if tasks.branches else "Two tasks of this list"
            report.error("duplicate-name", pointer, f"{message} are called '{shown(name)}'.", at_key=True)
        seen[name] = pointer


def _check_targets(entry: TaskEntry, names: dict[str, None], why: str, report: Report) -> None:
    for target, pointer in targets_of(entry):
        if target in DIRECTIVES or target in names:
            continue
        if why:
            message = f"{why} 'then' cannot name a task; '{shown(target)}' has no meaning here."
            hint = nearest(target, DIRECTIVES) or "Write continue, exit or end."
        else:
            message = f"No task of this list is called '{shown(target)}'."
            hint = nearest(target, [*names, *DIRECTIVES]) or "A target is a task of the same list."
        report.error("unknown-target", pointer, message, hint)
    if entry.kind == "switch":
        _check_cases(entry, report)


def targets_of(entry: TaskEntry) -> list[tuple[str, str]]:
    """Where a task may go: every `then` that leads through its own list, with its pointer."""
    task, pointer = entry.task, entry.pointer
    found: list[tuple[Json, str]] = [(task.get("then"), below(pointer, "then"))]
    for _, case, where in cases_of(entry):
        found.append((case.get("then"), below(where, "then")))
    catch = task.get("catch")
    if entry.kind == "try" and isinstance(catch, dict):
        found.append((catch.get("then"), f"{pointer}/catch/then"))
    return [(target, where) for target, where in found if isinstance(target, str)]


def cases_of(entry: TaskEntry) -> list[tuple[str, dict[str, Json], str]]:
    """The cases of a switch: name, content and pointer of those that are well formed."""
    items = entry.task.get("switch")
    if entry.kind != "switch" or not isinstance(items, list):
        return []
    found = []
    for index, item in enumerate(items):
        if isinstance(item, dict) and len(item) == 1:
            name, case = next(iter(item.items()))
            if isinstance(case, dict):
                found.append((name, case, below(f"{entry.pointer}/switch/{index}", name)))
    return found


def _check_cases(entry: TaskEntry, report: Report) -> None:
    seen: set[str] = set()
    default: str | None = None
    for name, case, pointer in cases_of(entry):
        if name in seen:
            message = f"Two cases of this switch are called '{shown(name)}'."
            report.error("duplicate-name", pointer, message, at_key=True)
        seen.add(name)
        if "when" in case:
            continue
        if default is not None:
            message = f"A switch has one default; '{shown(default)}' has no condition either."
            report.error("two-defaults", pointer, message, "Add 'when', or remove the case.", at_key=True)
        default = default or name


def _lint_unreachable(tasks: TaskList, report: Report) -> None:
    entries = tasks.entries
    places = {entry.name: index for index, entry in reversed(list(enumerate(entries)))}
    reached: set[int] = set()
    pending = [0] if entries else []
    while pending:
        index = pending.pop()
        if index in reached or index >= len(entries):
            continue
        reached.add(index)
        pending.extend(_after(entries[index], index, places))
    for index, entry in enumerate(entries):
        if index not in reached:
            message = f"No path leads to '{shown(entry.name)}': what stands before it goes elsewhere."
            report.lint("unreachable-task", entry.pointer, message)


def _after(entry: TaskEntry, index: int, places: dict[str, int]) -> list[int]:
    """The indices of the tasks that may follow one; unknown targets count as the next one."""
    targets = [target for target, _ in targets_of(entry)]
    own = entry.task.get("then")
    cases = cases_of(entry)
    decided = entry.kind == "raise" or any("when" not in case for _, case, _ in cases)
    if decided and isinstance(own, str):
        targets.remove(own)
    if (not decided and not isinstance(own, str)) or "if" in entry.task:
        targets.append("continue")
    found = []
    for target in targets:
        if target not in ("exit", "end"):
            found.append(index + 1 if target == "continue" else places.get(target, index + 1))
    return found
