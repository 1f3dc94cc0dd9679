"""Checks a document: all findings at once, in document order, each with its place and a hint (language.md 4).

START HERE: `rules/shapes.py` walks the document along the grammar and collects a survey; the rules then look at that.
One module a topic: `check_references`, `check_flow`, `check_expressions`, `check_lints`.
"""

from perdure.language.findings import Finding
from perdure.language.read import Reading
from perdure.language.rules.expressions import check_expressions
from perdure.language.rules.flow import check_flow
from perdure.language.rules.lints import check_keys, check_lifetimes, check_returns, check_values, lint
from perdure.language.rules.references import Functions, check_references, names_in
from perdure.language.rules.report import Report, TooMany
from perdure.language.rules.shapes import Walk
from perdure.language.values import Json

__all__ = ["Functions", "check", "check_value"]


def check(reading: Reading, *, functions: Functions | None = None) -> list[Finding]:
    """Everything that is wrong (errors) or doubtful (lints) about a document; empty when there is nothing to say.

    `functions` is the default catalog; without it, names of functions that `use` does not define are not checked.
    """
    report = Report(reading)
    document = reading.value
    try:
        _check(document, report, functions)
    except TooMany:
        pass
    return report.findings()


def check_value(value: Json, *, functions: Functions | None = None) -> list[Finding]:
    """`check` for a document that has no text: places are (0, 0). Raises Unreadable when it is too deep or too big."""
    return check(Reading.of(value), functions=functions)


def _check(document: Json, report: Report, functions: Functions | None) -> None:
    survey = Walk(report).document(document)
    if not isinstance(document, dict):
        return
    use = document.get("use")
    declared = frozenset(names_in(use, "secrets"))
    evaluate = document.get("evaluate")
    loose = isinstance(evaluate, dict) and evaluate.get("mode") == "loose"
    check_references(survey, report, use, functions)
    check_flow(survey, report)
    check_values(survey, report)
    check_lifetimes(survey, report)
    check_returns(survey, report)
    check_keys(document, report)
    check_expressions(survey, report, loose=loose, declared=declared)
    lint(survey, report, document)
