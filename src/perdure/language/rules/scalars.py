"""The rules on single values: types, texts, numbers, choices and names of variables, with the hints for each."""

import re
from collections.abc import Callable as Function
from typing import Any

from perdure.language.grammar import kinds
from perdure.language.grammar.table import ARGUMENTS
from perdure.language.rules.report import Report, listed, nearest, shown
from perdure.language.values import Json

_variable = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset().union(*ARGUMENTS.values()) | {"ENV", "__loc__", "__prog_args"}
_TYPES: dict[type, kinds.JsonType] = {
    dict: "object",
    list: "list",
    str: "text",
    bool: "boolean",
    int: "number",
    float: "number",
    type(None): "null",
}
TYPE_NAMES = {
    "text": "a text",
    "object": "an object",
    "list": "a list",
    "boolean": "true or false",
    "number": "a number",
}
_patterns: dict[str, re.Pattern[str]] = {}


def type_of(value: Json) -> kinds.JsonType:
    """The JSON type of a value, in the words of the grammar."""
    return _TYPES[type(value)]


def expect(report: Report, expected: kinds.JsonType, value: Json, pointer: str, hint: str | None = None) -> bool:
    """Whether the value has the type; a finding otherwise."""
    if type_of(value) == expected:
        return True
    message = f"{TYPE_NAMES[expected].capitalize()} is expected, not {described(value)}."
    report.error("wrong-type", pointer, message, hint)
    return False


def is_variable(text: Json) -> bool:
    """Whether a value can name a variable."""
    return isinstance(text, str) and _variable.fullmatch(text) is not None


def _text(kind: kinds.Text, value: Json, pointer: str, report: Report) -> None:
    if not expect(report, "text", value, pointer, quote(value)):
        return
    if not kind.free and "${" in value:
        report.error("fixed-text", pointer, "A fixed text is expected here, not an expression.")
    elif kind.pattern is not None and not matches(kind.pattern, value):
        report.error("bad-text", pointer, f"'{shown(value)}' is not {kind.says}.", _correction(kind, value))


def _name(_kind: kinds.Name, value: Json, pointer: str, report: Report) -> None:
    if expect(report, "text", value, pointer, quote(value)) and not value.strip():
        report.error("empty", pointer, "A name is needed here.")


def _flag(_kind: kinds.Flag, value: Json, pointer: str, report: Report) -> None:
    hint = "YAML 1.2 knows only true and false." if value in ("yes", "no", "on", "off") else None
    expect(report, "boolean", value, pointer, hint)


def _whole(kind: kinds.Whole, value: Json, pointer: str, report: Report) -> None:
    if isinstance(value, float):
        hint = "For parts of a second write milliseconds." if pointer.endswith("/seconds") else None
        report.error("wrong-type", pointer, f"A whole number is expected, not {value}.", hint)
    elif isinstance(value, str) and "${" in value:
        hint = _whole_hint(pointer)
        report.error("wrong-type", pointer, "A number is expected here, not an expression.", hint)
    elif expect(report, "number", value, pointer, _unquote(value)):
        too_small = kind.minimum is not None and value < kind.minimum
        if too_small or (kind.maximum is not None and value > kind.maximum):
            limit = f"at least {kind.minimum}" if too_small else f"at most {kind.maximum}"
            report.error("out-of-range", pointer, f"{value} does not fit: it must be {limit}.")


def _number(_kind: kinds.Number, value: Json, pointer: str, report: Report) -> None:
    if expect(report, "number", value, pointer) and value <= 0:
        report.error("out-of-range", pointer, f"{value} does not fit: it must be greater than 0.")


def _choice(kind: kinds.Choice, value: Json, pointer: str, report: Report) -> None:
    if not expect(report, "text", value, pointer, quote(value)):
        return
    if value not in kind.values:
        allowed = (
            f"one of {listed(kind.values)}" if len(kind.values) > 1 else f"'{kind.values[0]}', the only choice here"
        )
        message = f"'{shown(value)}' is not {allowed}."
        composite = value in ("do", "fork") and "composite" in kind.values
        hint = "Write 'composite': it stands for do and fork." if composite else nearest(value, kind.values)
        report.error("unknown-value", pointer, message, hint)


def _variable_name(_kind: kinds.Variable, value: Json, pointer: str, report: Report) -> None:
    if not expect(report, "text", value, pointer):
        return
    if not is_variable(value):
        message = f"'{shown(value)}' cannot be a variable: letters, digits and _, not beginning with a digit."
        hint = f"Write '{value[1:]}'." if value.startswith("$") else None
        report.error("bad-text", pointer, message, hint)
    elif value in _RESERVED:
        report.error("reserved-name", pointer, f"The language has a ${value} of its own.", "Choose another.")


SCALARS: dict[type, Function[[Any, Json, str, Report], None]] = {
    kinds.Text: _text,
    kinds.Name: _name,
    kinds.Flag: _flag,
    kinds.Whole: _whole,
    kinds.Number: _number,
    kinds.Choice: _choice,
    kinds.Variable: _variable_name,
}
"""How a value of each kind that holds nothing else is checked."""


def matches(pattern: str, text: str) -> bool:
    if pattern not in _patterns:
        _patterns[pattern] = re.compile(pattern)
    return _patterns[pattern].fullmatch(text) is not None


def described(value: Json) -> str:
    if isinstance(value, str | bool | int | float):
        name = "the text" if isinstance(value, str) else "the number" if not isinstance(value, bool) else "the boolean"
        return f"{name} {shown(str(value).lower() if isinstance(value, bool) else value)}"
    return "null" if value is None else TYPE_NAMES[type_of(value)]


def quote(value: Json) -> str | None:
    return f'Put it into quotes: "{value}".' if isinstance(value, int | float) and not isinstance(value, bool) else None


def _unquote(value: Json) -> str | None:
    return f"Write {value} without quotes." if isinstance(value, str) and value.isdecimal() else None


def _correction(kind: kinds.Text, value: str) -> str | None:
    if kind.pattern == kinds.NAME_PATTERN:
        proposed = re.sub(r"[^a-zA-Z0-9]+", "-", value).strip("-")[:63].strip("-")
        return f"Write '{proposed}'." if proposed else None
    if kind.pattern == kinds.VERSION_PATTERN:
        return "Write three numbers, for example '1.0.0'."
    if kind.pattern == kinds.DSL_PATTERN:
        return "Write '1.0.3'."
    return None


def _whole_hint(pointer: str) -> str | None:
    unit = pointer.rpartition("/")[2]
    form = {"days": "P\\(.n)D", "hours": "PT\\(.n)H", "minutes": "PT\\(.n)M", "seconds": "PT\\(.n)S"}.get(unit)
    return None if form is None else f'Make the whole duration one expression: ${{ "{form}" }}.'


def template_hint(kind: kinds.Template, value: Json, pointer: str) -> str | None:
    if kind.takes == ("object",) and pointer.rpartition("/")[0].endswith("/in"):
        return 'Write the list as an expression: in: \'["a", "b"]\'.'
    return quote(value) if "text" in kind.takes else None
