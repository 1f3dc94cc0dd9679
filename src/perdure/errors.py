"""Every error that Perdure raises to its own callers: one tree, and one table of what each kind means outside.

A workflow's own fault is not here: it is a value in the run's history (`interpreter/faults.py`). The docstring of a
kind is its default sentence.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple


class PerdureError(Exception):
    """Something went wrong."""

    code = "error"

    def __init__(self, message: str = "", *, hint: str | None = None, **details: Any) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.hint = hint
        self.details = details
        super().__init__(self.message if hint is None else f"{self.message} {hint}")


class Invalid(PerdureError):
    """What was given does not fit; nothing was done."""

    code = "invalid"


class NotFound(PerdureError):
    """There is no such thing here."""

    code = "not-found"


class Conflict(PerdureError):
    """The thing is not in a state that allows this."""

    code = "conflict"


class Denied(PerdureError):
    """You may not do this."""

    code = "denied"


class Unauthenticated(PerdureError):
    """Say who you are first."""

    code = "unauthenticated"


class Exhausted(PerdureError):
    """A limit or a budget is used up."""

    code = "exhausted"


class Unavailable(PerdureError):
    """A part that is needed cannot be reached now; trying again later may help."""

    code = "unavailable"


class Bug(PerdureError):
    """Perdure itself is at fault; please report this."""

    code = "bug"


class Meaning(NamedTuple):
    """What a kind of error means outside: HTTP status, exit code of the CLI, and whether trying again may help."""

    status: int
    exit_code: int
    may_retry: bool


MEANINGS: dict[type[PerdureError], Meaning] = {
    Invalid: Meaning(422, 2, False),
    NotFound: Meaning(404, 2, False),
    Conflict: Meaning(409, 2, False),
    Denied: Meaning(403, 2, False),
    Unauthenticated: Meaning(401, 2, False),
    Exhausted: Meaning(429, 1, True),
    Unavailable: Meaning(503, 1, True),
    Bug: Meaning(500, 1, False),
}


@contextlib.contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Around the imports of what an extra installs: Invalid, with what to do, where it is not installed."""
    try:
        yield
    except ImportError as error:
        raise Invalid(
            f"{what} needs libraries that are not installed ({error.name or error}).",
            hint=f"Run `pip install 'perdure[{name}]'`.",
        ) from None


def reason(error: BaseException | None) -> str:
    """What an error of a library says, in one line, as a part of a sentence of ours."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def spelled(error: BaseException) -> str:
    """The type of an error of anybody's code and all that it says, also when its text cannot be had."""
    try:
        said = str(error)
    except Exception as other:  # noqa: BLE001 - that is anybody's code as well
        said = f"its text cannot be had ({type(other).__name__})"
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
