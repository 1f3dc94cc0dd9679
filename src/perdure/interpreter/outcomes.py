"""What a kind can answer besides its raw output, and how a list begins. None of these is ever in a state."""

from enum import Enum
from typing import Any, NamedTuple, TypeAlias

from perdure.interpreter.program import Frame
from perdure.language.values import Json


class Mark(Enum):
    """WAITS: the frame was placed and an event will answer. ENTERED: the frame has a list to go through."""

    WAITS = 1
    ENTERED = 2


WAITS = Mark.WAITS
ENTERED = Mark.ENTERED


class Passed(NamedTuple):
    """The frame is over without data flow of its own: its parent goes on with this value and directive."""

    value: Json
    then: int


class Elsewhere(NamedTuple):
    """The frame is over, and another one has an outcome now."""

    frame: Frame
    outcome: Any


class Failing(NamedTuple):
    """The frame is over, and this one fails."""

    frame: Frame
    problem: dict[str, Any]


Outcome: TypeAlias = Any
"""A raw output, or one of the above."""


def begin(frame: Frame, list_: str, prefix: str, value: Json) -> Outcome:
    """Let the frame go through a list of tasks, `value` being the raw input of the first."""
    frame["list"] = list_
    frame["prefix"] = prefix
    frame["pc"] = 0
    frame["value"] = value
    frame.pop("visits", None)
    frame.pop("exit", None)
    return ENTERED
