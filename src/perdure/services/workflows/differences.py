"""What is different between two documents: in their structure, place by place, and in their text. Pure.

Lists of named tasks are compared by name, so that a task put before others is one addition and no change of all.
"""

import difflib
from typing import Any

from perdure.language.values import Json, same
from perdure.services.workflows.models import Change

MOST = 1_000
"""Changes told, at most."""
_LINES = 5_000


def structural(before: Json, after: Json) -> list[Change]:
    """In the order of the newer document, with what was removed at the end of each place."""
    found: list[Change] = []
    _compare(before, after, "", found)
    return found[:MOST]


def textual(before: str, after: str, names: tuple[str, str]) -> str:
    """A unified diff of the texts as they were written; empty when they are equal."""
    old, new = (text.splitlines()[:_LINES] for text in (before, after))
    return "\n".join(difflib.unified_diff(old, new, *names, lineterm=""))


def _compare(before: Json, after: Json, pointer: str, found: list[Change]) -> None:
    if len(found) >= MOST or same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        _objects(before, after, pointer, found)
    elif _is_tasks(before) and _is_tasks(after):
        _tasks(before, after, pointer, found)
    elif isinstance(before, list) and isinstance(after, list):
        _lists(before, after, pointer, found)
    else:
        found.append(Change(kind="changed", pointer=pointer, before=before, after=after))


def _objects(before: dict[str, Json], after: dict[str, Json], pointer: str, found: list[Change]) -> None:
    for key, value in after.items():
        place = f"{pointer}/{_escaped(key)}"
        if key in before:
            _compare(before[key], value, place, found)
        else:
            found.append(Change(kind="added", pointer=place, after=value))
    for key, value in before.items():
        if key not in after:
            found.append(Change(kind="removed", pointer=f"{pointer}/{_escaped(key)}", before=value))


def _lists(before: list[Json], after: list[Json], pointer: str, found: list[Change]) -> None:
    for index in range(max(len(before), len(after))):
        place = f"{pointer}/{index}"
        if index >= len(before):
            found.append(Change(kind="added", pointer=place, after=after[index]))
        elif index >= len(after):
            found.append(Change(kind="removed", pointer=place, before=before[index]))
        else:
            _compare(before[index], after[index], place, found)


def _tasks(before: list[Any], after: list[Any], pointer: str, found: list[Change]) -> None:
    old = {next(iter(item)): index for index, item in enumerate(before)}
    new = {next(iter(item)): index for index, item in enumerate(after)}
    kept = [name for name in old if name in new]
    order = [name for name in new if name in old]
    for name, index in new.items():
        place = f"{pointer}/{index}/{_escaped(name)}"
        if name not in old:
            found.append(Change(kind="added", pointer=place, after=after[index][name]))
            continue
        if kept.index(name) != order.index(name):
            found.append(Change(kind="moved", pointer=place, before=old[name], after=index))
        _compare(before[old[name]][name], after[index][name], place, found)
    for name, index in old.items():
        if name not in new:
            place = f"{pointer}/{index}/{_escaped(name)}"
            found.append(Change(kind="removed", pointer=place, before=before[index][name]))


def _is_tasks(value: Json) -> bool:
    """A list of one-key maps whose names are all different."""
    if not isinstance(value, list) or not value:
        return False
    if not all(isinstance(item, dict) and len(item) == 1 for item in value):
        return False
    return len({next(iter(item)) for item in value}) == len(value)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
