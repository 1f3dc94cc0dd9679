"""Feeds one part of Perdure with what atheris makes of seeds: `python fuzzing.py TARGET [options of libFuzzer]`.

Only the errors that a part promises may come out of it. libFuzzer ends the process when an input takes too long or too
much memory; any other exception ends it too, with the input in a file `crash-…`.
"""

import json
import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["perdure.language", "perdure.functions.bodies", "purejq"]):
    from perdure.errors import Invalid
    from perdure.functions import bodies
    from perdure.interpreter.machine import compile, program_hash
    from perdure.language import cron, durations, templates, uri_templates
    from perdure.language.check import check
    from perdure.language.expressions import ExpressionFault, parse
    from perdure.language.read import Unreadable, read
    from perdure.language.values import TooMany, canonical, check_count

VALUE = {"a": [1, -2.5, "x", None, True, {"b": "üx"}], "n": 3, "t": "2026-01-31T12:00:00Z", "s": "a,b;c"}
ARGUMENTS = {"input": {"q": 1}, "context": {}, "n": [1, 2]}


def told(sentence: str) -> None:
    """A refusal says something."""
    assert sentence.strip()


def document(given: bytes) -> None:
    """What can be read can be checked; what passes can be compiled; the same value as JSON is the same program."""
    try:
        reading = read(given)
    except Unreadable as refused:
        told(refused.findings[0].message)
        return
    if any(finding.severity == "error" for finding in check(reading)):
        return
    again = read(json.dumps(reading.value)).value
    assert again == reading.value
    try:
        assert compile(reading.value).hash == program_hash(again, {})
    except Invalid as refused:
        told(refused.message)


def expression(given: bytes) -> None:
    """An expression is refused, fails as a fault, or gives a JSON value, the same one twice."""
    try:
        text = given.decode()
        made = parse(text)
        first = made.evaluate(VALUE, ARGUMENTS)
    except (UnicodeDecodeError, ExpressionFault):
        return
    assert canonical(first) == canonical(made.evaluate(VALUE, ARGUMENTS))


def template(given: bytes) -> None:
    """A template is refused, fails as a fault, or gives a JSON value."""
    try:
        text = given.decode()
        templates.whole(text)
        canonical(templates.compile_template({"a": [text]}).evaluate(VALUE, ARGUMENTS))
    except (UnicodeDecodeError, ExpressionFault):
        return


def scalar(given: bytes) -> None:
    """Durations, URI templates and cron expressions: a value, or ValueError with a sentence."""
    text = given.decode("utf-8", "replace")
    for work in (
        durations.milliseconds,
        cron.parse,
        uri_templates.variables,
        lambda text: uri_templates.expand(text, {"a": 1, "b": "x/y"}),
    ):
        try:
            work(text)
        except ValueError as refused:
            told(str(refused))


def body(given: bytes) -> None:
    """An answer's body: a JSON value, or ValueError with a sentence; what is counted is what is there."""
    kind, _, content = given.partition(b"\n")
    try:
        value = bodies.decode(content, kind.decode("utf-8", "replace"))
        canonical(value)
    except ValueError as refused:
        told(str(refused))
        return
    try:
        check_count(canonical(value))
    except TooMany:
        raise AssertionError("more values than were counted") from None


TARGETS: dict[str, Callable[[bytes], None]] = {
    "document": document,
    "expression": expression,
    "template": template,
    "scalar": scalar,
    "body": body,
}


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()
