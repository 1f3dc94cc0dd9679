"""Under which names the ids of a run are made (language.md 6.4), when it is a fork.

What a fork takes over of its origin keeps its ids, for the facts name them. What comes after has ids of its own: its
questions are others, and what it emits counts as its own word, not as its origin's.
"""

from typing import Any

import msgspec

from perdure.interpreter.events import Started


def forked(first: Started, run: str, facts: int) -> Started:
    """The first event of a fork of the run that began with `first`, which takes over so many of the facts after it.

    The last of them is what the fork goes on from: it finds what it answers, and all that it leads to is the fork's.
    """
    if not facts:
        return msgspec.structs.replace(first, run=run, seed=run, seeds=())
    seeds, before = [], 0
    for count, seed in first.seeds:  # it is a fork itself
        if before + count >= facts:
            break
        before += count
        seeds.append((count, seed))
    return msgspec.structs.replace(first, run=run, seeds=(*seeds, (facts - before, run)))


def count(state: dict[str, Any]) -> None:
    """One more fact of a run whose seed changes."""
    following = state["seeds"][0]
    following[0] -= 1
    if following[0] == 0:
        state.setdefault("origins", []).append(state["seed"])
        state["seed"] = following[1]
        state["seeds"].pop(0)
        if not state["seeds"]:
            del state["seeds"]
