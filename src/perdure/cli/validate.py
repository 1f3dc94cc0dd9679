"""`perdure validate FILE...`: every finding of every document, at its place."""

import argparse
import sys
from typing import TYPE_CHECKING

import msgspec

from perdure.cli import apart, drive, given
from perdure.errors import MEANINGS, Invalid, PerdureError
from perdure.language.findings import Finding
from perdure.language.read import Reading, Unreadable

if TYPE_CHECKING:
    from perdure.functions.table import Table

_EPILOG = """\
One line a finding: FILE:LINE:COLUMN, whether it is an error or advice (lint), a stable code, a sentence; under it what
to write instead, where that is known. Errors keep a document from running; advice does not.

examples:
  perdure validate order.yaml
  perdure validate workflows/*.yaml --json
  cat order.yaml | perdure validate -

exit code: 0 when no document has an error, else 2
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which documents, and how to tell."""
    parser.epilog = _EPILOG
    parser.add_argument("files", nargs="+", metavar="FILE", help="A document, or - for standard input.")
    parser.add_argument("--json", action="store_true", help="Print the findings as a JSON array on standard output.")
    drive.functions_argument(parser)


def execute(options: argparse.Namespace) -> int:
    """Check all documents, then tell; one that cannot be read does not hide the others."""
    from perdure import wiring  # heavy: all functions; not needed by --help

    findings: list[tuple[str, Finding]] = []
    with apart.functions():
        table = wiring.table(given.read_settings(), modules=options.functions)
        for file in options.files:
            findings += [(file, finding) for finding in findings_of(file, table)]
    if options.json:
        rows = [{"file": file, **msgspec.to_builtins(finding)} for file, finding in findings]
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n")
    else:
        for file, finding in findings:
            print(line(file, finding))
        print(_summary(len(options.files), [finding for _, finding in findings]), file=sys.stderr)
    return MEANINGS[Invalid].exit_code if any(finding.severity == "error" for _, finding in findings) else 0


def findings_of(file: str, table: "Table") -> list[Finding]:
    """Everything there is to say about one file, a file that cannot be read included."""
    from perdure.language.check import check  # heavy: the expression engine

    try:
        return check(given.read_document(file), functions=table)
    except Unreadable as error:
        return error.findings
    except PerdureError as error:
        return [
            Finding(
                severity="error", code=error.code, pointer="", line=0, column=0, message=error.message, hint=error.hint
            )
        ]


def are_runnable(readings: dict[str, Reading], table: "Table") -> bool:
    """Whether documents, by their files, have no errors; those they have are told on standard error."""
    from perdure.language.check import check  # heavy: the expression engine; not needed by --help

    with apart.functions():
        errors = [
            (file, finding)
            for file, reading in readings.items()
            for finding in check(reading, functions=table)
            if finding.severity == "error"
        ]
    for file, finding in errors:
        print(line(file, finding), file=sys.stderr)
    if errors:
        many = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        print(f"perdure: {many}; nothing was started.", file=sys.stderr)
    return not errors


def line(file: str, finding: Finding) -> str:
    """`file:line:column severity code message`, and the hint on a line of its own."""
    place = f"{file}:{finding.line}:{finding.column}" if finding.line else file
    text = f"{place} {finding.severity} {finding.code} {finding.message}"
    return f"{text}\n  {finding.hint}" if finding.hint else text


def _summary(files: int, findings: list[Finding]) -> str:
    errors = sum(finding.severity == "error" for finding in findings)
    advice = len(findings) - errors
    documents = "1 document" if files == 1 else f"{files} documents"
    if not findings:
        return f"{documents} checked, nothing found"
    return f"{documents} checked: {errors} error{'' if errors == 1 else 's'}, {advice} lint{'' if advice == 1 else 's'}"
