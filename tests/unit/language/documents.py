"""Documents for the tests of checking: a body under a fixed head, with the findings that it must give in comments.

A comment `#! code 9` expects an error at column 9 of its line, `#? code 9` a lint; several are separated by `,`.
Findings without such a comment, and comments without such a finding, fail.
"""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from perdure.language.check import Functions, check
from perdure.language.read import read

HEAD = "document: { dsl: 1.0.3, namespace: tests, name: sample, version: 1.0.0 }\n"
SPECIFICATION = Path(__file__).resolve().parents[4] / "shared" / "ows"

_expectation = re.compile(r"#([!?]) *([a-z0-9 ,-]+)")


def found(text: str, functions: Functions | None = None) -> list[tuple[int, int, str, str]]:
    """Line, column, severity and code of every finding, in the order in which they come."""
    return [(f.line, f.column, f.severity, f.code) for f in check(read(text), functions=functions)]


def expected(text: str) -> list[tuple[int, int, str, str]]:
    """The findings that the comments of a text expect, in document order."""
    return sorted(_comments(text))


def complete(body: str) -> str:
    """A whole document around a body; `do` is added where the body has none at top level."""
    text = HEAD + textwrap.dedent(body).lstrip("\n")
    return (
        text
        if re.search(r"^do:", text, re.MULTILINE)
        else text.rstrip("\n") + "\ndo:\n  - nothing: { set: { a: 1 } }\n"
    )


def hints(text: str, functions: Functions | None = None) -> list[str | None]:
    return [finding.hint for finding in check(read(text), functions=functions)]


def messages(text: str, functions: Functions | None = None) -> str:
    return "\n".join(f"{finding.message} {finding.hint}" for finding in check(read(text), functions=functions))


def scenarios() -> Iterator[tuple[str, str]]:
    """The documents of the compatibility kit: a name and a text."""
    for path in sorted((SPECIFICATION / "ctk").glob("*.feature")):
        blocks = re.finditer(r'with definition:\n *"""yaml\n(.*?)"""', path.read_text(), re.DOTALL)
        for number, block in enumerate(blocks):
            yield f"{path.stem}-{number}", textwrap.dedent(block.group(1))


def examples() -> Iterator[tuple[str, str]]:
    """The specification's examples: a name and a text."""
    for path in sorted((SPECIFICATION / "examples").glob("*.yaml")):
        yield path.stem, path.read_text()


def _comments(text: str) -> Iterator[tuple[int, int, str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        for mark, items in _expectation.findall(line):
            for item in items.split(","):
                code, column = item.split()
                yield number, int(column), "error" if mark == "!" else "lint", code
