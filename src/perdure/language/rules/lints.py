"""What works but may not be meant, and the rules on single values: schemas, cron, container lifetimes, reserved keys."""

import re

from perdure.language import cron
from perdure.language.guard.secrets import RESERVED
from perdure.language.rules.report import Report, below, shown
from perdure.language.rules.survey import Survey
from perdure.language.schemas import Schema
from perdure.language.values import Json

ERRORS = "https://open-workflow-specification.org/spec/1.0.0/errors/"
ERROR_NAMES = frozenset(
    "configuration validation expression authentication authorization timeout communication runtime".split()
)
"""E3: the types that everybody raises are these names under that base."""

_reserved = re.compile(r"\$+perdure\.")


def check_values(survey: Survey, report: Report) -> None:
    """Schemas (B25) and cron expressions (A5)."""
    for document, pointer in survey.schemas:
        try:
            Schema(document).check()
        except ValueError as error:
            report.error("schema", pointer, str(error))
    for text, pointer in survey.crons:
        try:
            cron.parse(text)
        except ValueError as error:
            report.error("cron", pointer, str(error), "For example '0 8 * * 1-5': at 8:00 from Monday to Friday.")


def check_keys(document: Json, report: Report) -> None:
    """5.5: handles of secrets are made from `$secrets` only, wherever an expression could read the document."""
    pending: list[tuple[Json, str]] = [(document, "")]
    for value, pointer in pending:
        if isinstance(value, dict):
            for key, item in value.items():
                if _reserved.match(key):
                    message = f"Keys that begin with {RESERVED} are reserved; '{shown(key)}' is one."
                    hint = "Write an expression with $secrets.name where a secret is meant."
                    report.error("reserved-name", below(pointer, key), message, hint, at_key=True)
                pending.append((item, below(pointer, key)))
        elif isinstance(value, list):
            pending.extend((item, f"{pointer}/{index}") for index, item in enumerate(value))


def check_lifetimes(survey: Survey, report: Report) -> None:
    """B16: `after` belongs to `cleanup: eventually`, and only there."""
    for entry in [entry for tasks in survey.lists for entry in tasks.entries] + survey.singles:
        lifetime = _at(entry.task, "run", "container", "lifetime")
        if not isinstance(lifetime, dict) or "cleanup" not in lifetime:
            continue
        pointer = f"{entry.pointer}/run/container/lifetime"
        if lifetime["cleanup"] == "eventually" and "after" not in lifetime:
            message = "The key 'after' is missing here: how long the container is kept."
            report.error("missing-key", pointer, message, at_key=True)
        elif lifetime["cleanup"] != "eventually" and "after" in lifetime:
            message = "'after' has a meaning only with cleanup: eventually."
            report.error("conflict", below(pointer, "after"), message, "Remove it.", at_key=True)


def check_returns(survey: Survey, report: Report) -> None:
    """B15: `stderr`, `code` and `all` are what a process leaves; a workflow has its output, which is the default."""
    for entry in [entry for tasks in survey.lists for entry in tasks.entries] + survey.singles:
        wanted = _at(entry.task, "run", "return")
        if wanted in ("stderr", "code", "all") and _at(entry.task, "run", "workflow") is not None:
            message = f"'return: {wanted}' has a meaning only for a process; a workflow gives its own output."
            report.error("workflow-return", f"{entry.pointer}/run/return", message, "Remove it, or write 'none'.")


def lint(survey: Survey, report: Report, document: Json) -> None:
    """Everything that is shown and never refused."""
    if "schedule" in document:
        hint = "`perdure run` runs the document once, now; `perdure up` follows its schedule."
        report.lint("schedule-needs-up", "/schedule", "The schedule counts only in an installation.", hint)
    for pointer, scope in survey.exports:
        if scope.in_branch:
            message = "Inside a fork an export is applied when all branches have joined, in their declared order."
            report.lint("branch-export", pointer, message, "Export on the fork itself.")
    for grant, pointer in survey.grants:
        if grant == "password":
            message = "The grant 'password' hands the user's password to this workflow."
            report.lint("password-grant", pointer, message, "Prefer client_credentials.")
    _lint_error_names(survey, report, document)
    for tasks in survey.lists:
        for entry in tasks.entries:
            if "if" in entry.task and "then" in entry.task:
                message = "When 'if' is false the task is skipped and its 'then' with it: the next task follows."
                hint = "Use a switch to choose where to go."
                report.lint("skipped-then", below(entry.pointer, "then"), message, hint)


def _lint_error_names(survey: Survey, report: Report, document: Json) -> None:
    """T28: any type but a standard one is compared literally, so a bare name of one meets nothing that others raise."""
    found = [
        (_at(error, "type"), f"{below('/use/errors', name)}/type")
        for name, error in _entries(_at(document, "use", "errors"))
    ]
    for entry in [entry for tasks in survey.lists for entry in tasks.entries] + survey.singles:
        for keys in (("raise", "error"), ("catch", "errors", "with")):
            found.append((_at(entry.task, *keys, "type"), "/".join((entry.pointer, *keys, "type"))))
    for written, pointer in found:
        if isinstance(written, str) and written.casefold() in ERROR_NAMES:
            message = f"'{written}' is a type of its own, not the standard one of that name."
            report.lint("error-name", pointer, message, f"Write '{ERRORS}{written.casefold()}'.", at_key=False)


def _entries(value: Json) -> list[tuple[str, Json]]:
    return list(value.items()) if isinstance(value, dict) else []


def _at(value: Json, *keys: str) -> Json:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
