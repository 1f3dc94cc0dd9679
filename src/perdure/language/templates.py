"""Templates (language.md T30, A6, E11): which strings of a definition are expressions, and values made from them.

Only strings of the definition come here; strings in data never do (E11).
"""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from perdure.language.expressions import Expression, parse
from perdure.language.guard.faults import ExpressionFault
from perdure.language.guard.secrets import PARTS, SECRET
from perdure.language.values import Json

__all__ = ["PARTS", "SECRET", "Mode", "Template", "compile_field", "compile_template", "pieces", "whole"]

Mode: TypeAlias = Literal["strict", "loose"]
"""`evaluate.mode` of the document (A6)."""

_Evaluate: TypeAlias = Callable[[Json, Mapping[str, Json]], Json]

_AROUND = 'Put the text inside: ${ "text \\(.field) text" }.'
_CLOSERS = {"(": ")", "[": "]", "{": "}"}


class Template:
    """A value with expressions in it, compiled.

    `names` are the `$variables` used (without `$`, with "secrets"), `secrets` the names of the secrets used. A
    constant template gives the very value it was compiled from: nobody changes values in place.
    """

    __slots__ = ("evaluate", "is_constant", "names", "secrets", "value")

    def __init__(self, value: Json, evaluate: _Evaluate | None, names: frozenset[str], secrets: frozenset[str]) -> None:
        self.value = value
        self.names = names
        self.secrets = secrets
        self.is_constant = evaluate is None
        self.evaluate: _Evaluate = (lambda _value, _arguments: value) if evaluate is None else evaluate

    def __repr__(self) -> str:
        return f"Template({'constant' if self.is_constant else 'computed'}, names={sorted(self.names)})"


def whole(text: str) -> str | None:
    """The jq source when `text` is one `${ }` as a whole (white space around it is allowed), else None."""
    stripped = text.strip()
    if not stripped.startswith("${"):
        return None
    end = _end(stripped, 2)
    return stripped[2:end] if end == len(stripped) - 1 else None


def pieces(text: str) -> list[str | Expression]:
    """A text with `${ }` anywhere in it, as its plain parts and its expressions. Only prompts are written so: in a
    document an expression is a whole string (T30). ExpressionFault when one is not closed or cannot be read."""
    found: list[str | Expression] = []
    position = 0
    while (start := text.find("${", position)) >= 0:
        end = _end(text, start + 2)
        if end is None:
            raise ExpressionFault("A `${` is not closed by a `}`.", offset=start)
        found += [text[position:start], parse(text[start + 2 : end])]
        position = end + 1
    return [piece for piece in [*found, text[position:]] if piece != ""]


def compile_field(text: str, names: frozenset[str] | None = None) -> Expression:
    """A field that is always an expression: bare jq, or one `${ }` (T30). ExpressionFault when it is neither."""
    source = whole(text)
    if source is None:
        if text.lstrip().startswith("${"):
            raise _misplaced(text)
        source = text
    return parse(source, names)


def compile_template(value: Json, names: frozenset[str] | None = None, mode: Mode = "strict") -> Template:
    """A value whose strings may be expressions, at any depth; keys never are.

    ExpressionFault, with `pointer` set to the place in `value`, when a string is not a valid expression. In loose
    mode every string is tried as an expression, and one that does not parse or fails is kept as text.
    """
    compiler = _Compiler(names, mode)
    evaluate = compiler.compile(value, "")
    return Template(value, evaluate, frozenset(compiler.used), frozenset(compiler.secrets))


class _Compiler:
    def __init__(self, names: frozenset[str] | None, mode: Mode) -> None:
        self.names = names
        self.compile_text = self._loose if mode == "loose" else self._strict
        self.used: set[str] = set()
        self.secrets: set[str] = set()

    def compile(self, value: Json, pointer: str) -> _Evaluate | None:
        """How to make the value, or None when it is constant."""
        if isinstance(value, str):
            return self.compile_text(value, pointer)
        if isinstance(value, dict):
            parts = {
                key: self.compile(item, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
                for key, item in value.items()
            }
            return _object(value, parts) if any(parts.values()) else None
        if isinstance(value, list):
            items = [self.compile(item, f"{pointer}/{index}") for index, item in enumerate(value)]
            return _array(value, items) if any(items) else None
        return None

    def _strict(self, text: str, pointer: str) -> _Evaluate | None:
        if "${" not in text:
            return None
        source = whole(text)
        if source is None:
            if _has_expression(text):
                fault = _misplaced(text)
                fault.pointer = pointer
                raise fault
            return None
        try:
            return self._use(parse(source, self.names))
        except ExpressionFault as fault:
            raise ExpressionFault(fault.message, offset=fault.offset, hint=fault.hint, pointer=pointer) from None

    def _loose(self, text: str, _pointer: str) -> _Evaluate | None:
        source = whole(text)
        try:
            evaluate = self._use(parse(text if source is None else source, self.names))
        except ExpressionFault:
            return None

        def try_it(value: Json, arguments: Mapping[str, Json]) -> Json:
            try:
                return evaluate(value, arguments)
            except ExpressionFault:
                return text

        return try_it

    def _use(self, expression: Expression) -> _Evaluate:
        self.used |= expression.names
        self.secrets |= expression.secrets
        return expression.evaluate


def _object(value: dict[str, Json], parts: dict[str, _Evaluate | None]) -> _Evaluate:
    computed = [(key, part) for key, part in parts.items() if part is not None]

    def evaluate(data: Json, arguments: Mapping[str, Json]) -> Json:
        made = value.copy()
        for key, part in computed:
            made[key] = part(data, arguments)
        return made

    return evaluate


def _array(value: list[Json], parts: list[_Evaluate | None]) -> _Evaluate:
    computed = [(index, part) for index, part in enumerate(parts) if part is not None]

    def evaluate(data: Json, arguments: Mapping[str, Json]) -> Json:
        made = value.copy()
        for index, part in computed:
            made[index] = part(data, arguments)
        return made

    return evaluate


def _misplaced(text: str) -> ExpressionFault:
    if text.lstrip().startswith("${") and _end(text, text.index("${") + 2) is None:
        return ExpressionFault(
            "The expression that begins with ${ never ends.",
            hint="Close every bracket and quote in it, and the expression itself with }.",
        )
    return ExpressionFault("There is text around an expression, or a second one.", hint=_AROUND)


def _has_expression(text: str) -> bool:
    """Whether a `${` is an expression: one that ends, or one that the text begins with."""
    start = text.find("${")
    return text.lstrip().startswith("${") or _end(text, start + 2) is not None


def _end(text: str, position: int) -> int | None:
    """Where the `}` is that closes a `${` whose inside begins at `position`: knows jq's strings, brackets, comments."""
    open_ = ["}"]
    while position < len(text):
        character = text[position]
        if open_[-1] == '"':
            if character == '"':
                open_.pop()
            elif character == "\\":
                position += 1
                if text[position : position + 1] == "(":
                    open_.append(")")
        elif character == open_[-1]:
            open_.pop()
            if not open_:
                return position
        elif character == '"':
            open_.append('"')
        elif character in _CLOSERS:
            open_.append(_CLOSERS[character])
        elif character in ")]}":
            return None
        elif character == "#":
            newline = text.find("\n", position)
            position = len(text) if newline < 0 else newline
        position += 1
    return None
