"""Collects what checking finds, puts it into document order, and knows every code that a finding can carry."""

import difflib
import sys
from collections.abc import Iterable
from itertools import islice

from msgspec import structs

from perdure.language import read
from perdure.language.findings import Finding, Severity
from perdure.language.read import Reading

CODES: dict[str, str] = {
    **read.CODES,
    "alone": "A key that admits no other key stands beside others.",
    "arguments": "The arguments do not fit the function's input schema.",
    "bad-text": "A text does not have the form that its field asks for.",
    "conflict": "Keys that exclude each other stand together.",
    "cron": "A cron expression is wrong.",
    "duplicate-name": "Two tasks, cases, secrets or variables have the same name.",
    "duration": "A duration is wrong.",
    "empty": "Something that must hold something is empty.",
    "expression": "An expression is not valid jq, or uses what is not offered there.",
    "fixed-text": "An expression stands where only a fixed text is allowed.",
    "missing-key": "A key that is required is missing.",
    "not-supported-yet": "Part of the language that this version of Perdure cannot run yet.",
    "out-of-range": "A number is too small or too large.",
    "reserved-name": "A name that the language keeps for itself.",
    "schema": "A JSON Schema is not valid.",
    "task-kind": "A task says not at all, or more than once, what it does.",
    "too-many": "There are more findings than are worth showing.",
    "two-defaults": "A switch has more than one case without a condition.",
    "undeclared-secret": "A secret is used that use.secrets does not name.",
    "unknown-function": "No function has this name.",
    "unknown-key": "A key that does not belong there.",
    "unknown-name": "A name that use does not define.",
    "unknown-target": "A then that names no task of its list.",
    "unknown-value": "A text that is not one of the allowed ones.",
    "uri": "A URI or URI template is wrong.",
    "wrong-type": "A value of another type is expected.",
    "workflow-return": "A workflow leaves its output, no exit code and no error text.",
    # Lints: shown, never refused.
    "attribute-spelling": "An extension attribute of an event is spelt nearly like a known attribute.",
    "branch-export": "An export inside a fork is applied at the join only.",
    "error-name": "A type of an error is spelt like a standard one but is not it.",
    "looks-like-expression": "A text looks like an expression but is not one.",
    "metadata-place": "A key of metadata that Perdure reads stands where it has no meaning.",
    "number-as-text": "A number or boolean becomes its JSON text.",
    "password-grant": "The OAuth2 grant password is discouraged.",
    "schedule-needs-up": "A schedule works in an installation, not in a single run.",
    "several-outputs": "An expression may give several outputs; only the first counts.",
    "shadowed-function": "A function hides one of the catalog with the same name.",
    "skipped-then": "The then of a task that can be skipped counts only when the task is performed.",
    "unreachable-task": "No path leads to a task.",
}
"""Every code of a finding -> what it is about, in one sentence."""


MAX_FINDINGS = 1_000
_MAX_NAMES = 300


class TooMany(Exception):
    """Enough has been found: checking stops."""


class Report:
    """The findings so far. Raises TooMany at the thousandth: hostile documents could hold millions."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._found: list[tuple[tuple[int, int], Finding]] = []

    def __repr__(self) -> str:
        return f"<Report {len(self._found)} findings>"

    def error(self, code: str, pointer: str, message: str, hint: str | None = None, *, at_key: bool = False) -> None:
        """Something that must be changed. `at_key` gives the place of the key instead of that of its value."""
        self._add("error", code, pointer, message, hint, at_key=at_key)

    def lint(self, code: str, pointer: str, message: str, hint: str | None = None, *, at_key: bool = True) -> None:
        """Something that works but may not be meant."""
        self._add("lint", code, pointer, message, hint, at_key=at_key)

    def findings(self) -> list[Finding]:
        """All of them, in document order."""
        return [finding for _, finding in sorted(self._found, key=lambda entry: entry[0])]

    def _add(
        self, severity: Severity, code: str, pointer: str, message: str, hint: str | None, *, at_key: bool
    ) -> None:
        reading = self._reading
        line, column = reading.place_of_key(pointer) if at_key else reading.place(pointer)
        finding = Finding(
            severity=severity, code=code, pointer=pointer, line=line, column=column, message=message, hint=hint
        )
        self._found.append((reading.order(pointer, of_key=at_key), finding))
        if len(self._found) == MAX_FINDINGS:
            message = f"There are more than {MAX_FINDINGS - 1} findings; the others are not shown."
            last = structs.replace(finding, severity="error", code="too-many", message=message, hint=None)
            self._found[-1] = ((sys.maxsize, 0), last)
            raise TooMany


def nearest(name: str, names: Iterable[str]) -> str | None:
    """A hint that names the nearest valid spelling, if one is near. Looks at the first few hundred names only."""
    known = {known.casefold(): known for known in islice(names, _MAX_NAMES) if len(known) < 100}
    close = difflib.get_close_matches(name[:100].casefold(), known, n=1, cutoff=0.67)
    return f"Did you mean '{known[close[0]]}'?" if close else None


def listed(names: Iterable[str]) -> str:
    """Names for a sentence: 'a', 'b' or 'c'."""
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def shown(value: object) -> str:
    """A value, short enough for a sentence."""
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else text[:59] + "…"


def below(pointer: str, key: str) -> str:
    """The JSON pointer (RFC 6901) of a key of the object at `pointer`."""
    return f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
