"""URI templates (language.md B25, T29): simple string expansion of RFC 6570 (3.2.2) and nothing more.

`{pet.id}` reads the top-level property of exactly that name. A missing or null one becomes an empty string.
"""

import re
from typing import NoReturn
from urllib.parse import quote

from perdure.language.expressions import ExpressionFault, json_text
from perdure.language.values import Json

_OPERATORS = "+#./;?&=,!@|"
_name = re.compile(r"(?:[A-Za-z0-9_-]|%[0-9A-Fa-f]{2})+(?:\.(?:[A-Za-z0-9_-]|%[0-9A-Fa-f]{2})+)*")
# Literals are named, not excluded (RFC 6570, 2.1): a class that reaches up to U+10FFFF takes 2 ms to compile.
_literal = re.compile(r"%[0-9A-Fa-f]{2}|[!#$&-;=?-\[\]_a-z{}~]")
_UNRESERVED = "-._~"


def variables(template: str) -> list[str]:
    """The names the template reads, in order of first use. ExpressionFault when the template is not one of ours."""
    return list(dict.fromkeys(name for kind, names in _pieces(template) if kind == "expand" for name in names))


def expand(template: str, value: Json) -> str:
    """The URI: each `{name}` replaced by the percent-encoded text of `value[name]`.

    Values are texts, numbers, booleans or null. ExpressionFault for an array or object, and for a template that is
    not one of ours. A `value` that is no object has no properties.
    """
    properties = value if isinstance(value, dict) else {}
    written = []
    for kind, content in _pieces(template):
        if kind == "literal":
            written.append("".join(content))
        else:
            texts = [_text(name, properties.get(name)) for name in content if properties.get(name) is not None]
            written.append(",".join(texts))
    return "".join(written)


def _text(name: str, value: Json) -> str:
    if isinstance(value, list | dict):
        kind = "an array" if isinstance(value, list) else "an object"
        raise ExpressionFault(
            f"The URI template's {{{name}}} is {kind}.", hint="Only text, numbers, booleans and null fit into a URI."
        )
    text = value if isinstance(value, str) else json_text(value)
    return quote(text.encode("utf-8", "replace"), safe=_UNRESERVED)


def _pieces(template: str) -> list[tuple[str, list[str]]]:
    """("literal", [text]) and ("expand", names), in order."""
    pieces: list[tuple[str, list[str]]] = []
    position = 0
    while position < len(template):
        opened = template.find("{", position)
        literal = template[position : opened if opened >= 0 else len(template)]
        _check_literal(literal, position)
        if literal:
            pieces.append(("literal", ["".join(_encoded(literal))]))
        if opened < 0:
            break
        if literal.endswith("$"):
            _refuse(
                template, opened - 1, "mixes text with an expression", r'Write one expression: ${ "https://x/\(.id)" }.'
            )
        closed = template.find("}", opened)
        if closed < 0:
            _refuse(template, opened, "has a { without }", "Close it, or write %7B for the character itself.")
        pieces.append(("expand", _names(template, opened, template[opened + 1 : closed])))
        position = closed + 1
    return pieces


def _names(template: str, offset: int, inner: str) -> list[str]:
    if inner[:1] and inner[0] in _OPERATORS:
        _refuse(template, offset, f"uses the operator {inner[0]!r}", "Only simple expansion is supported: {name}.")
    names = inner.split(",")
    for name in names:
        if name.endswith("*") or re.search(r":[0-9]*$", name):
            _refuse(template, offset, "uses a modifier", "Only simple expansion is supported: {name}.")
        if not _name.fullmatch(name):
            _refuse(
                template,
                offset,
                f"has no variable name in {{{inner[:40]}}}",
                "Names are letters, digits, _ - and dots.",
            )
    return names


def _check_literal(literal: str, position: int) -> None:
    closed = literal.find("}")
    if closed >= 0:
        _refuse(literal, position + closed, "has a } without {", "Write %7D for the character itself.")


def _encoded(literal: str) -> list[str]:
    """RFC 6570, 3.1: what a URI may not hold is percent-encoded, an existing %XX stays."""
    written = []
    position = 0
    while position < len(literal):
        match = _literal.match(literal, position)
        if match is None:
            written.append(quote(literal[position].encode("utf-8", "replace"), safe=""))
            position += 1
        else:
            written.append(match.group())
            position = match.end()
    return written


def _refuse(template: str, offset: int, problem: str, hint: str) -> NoReturn:
    raise ExpressionFault(f"The URI template {template[:80]!r} {problem}.", offset=offset, hint=hint)
