"""Reading an expression: text to the parser's tuples, with our own bounds and with offsets.

The lexer is ours because purejq's loses offsets and misreads strings inside interpolations; the grammar is purejq's.
"""

import re
from typing import Any, NoReturn

from purejq.errors import JqParseError
from purejq.lexer import _ESCAPES, _FIELD_RE, _INT_RE, _TOKEN_RE, KEYWORDS
from purejq.parser import Parser

from perdure.language.guard.faults import ExpressionFault
from perdure.language.guard.limits import LIMITS

_BRACKET = 13
_INTERPOLATIONS = 10
_DIGITS = 308
"""An integer with no more digits is within the reach of a double, and of `LIMITS.bits`."""
_at = re.compile(r" at position (\d+)")

_INSTEAD = {
    "'": 'Texts of jq stand in double quotes: "text".',
    "&": "Write `and`.",
    "!": "Write `| not` behind what is denied, or != between two values.",
}
"""What to write instead of characters that jq does not know but other languages do."""


class Placed(tuple[Any, ...]):
    """A node that knows where it stands."""

    offset: int


def parse_source(source: str) -> Any:
    """The syntax tree. ExpressionFault, with the offset, when there is none or it is too large."""
    if len(source) > LIMITS.source:
        raise ExpressionFault(f"The expression is longer than {LIMITS.source:,} characters.")
    tokens = _Lexer(source).tokens()
    if len(tokens) == 1:
        raise ExpressionFault("The expression is empty.", offset=0, hint='For the whole value write ".".')
    try:
        tree = _Parser(tokens, 0).parse_program()
    except JqParseError as error:
        raise _located(str(error)) from None
    _check_height(tree)
    return tree


class _Lexer:
    """Tokens `(kind, value, offset)` in purejq's kinds."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.position = 0
        self.count = 0
        self.level = 0

    def tokens(self) -> list[tuple[str, Any, int]]:
        """Up to the end; inside an interpolation up to the `)` that closes it."""
        found: list[tuple[str, Any, int]] = []
        parentheses = 0
        while self.position < len(self.source):
            start = self.position
            if self.source[start] == '"':
                found.append(("STR", self._string(), start))
            else:
                token = self._token()
                if token is None:
                    continue
                if token[0] == "OP" and token[1] in "()":
                    parentheses += 1 if token[1] == "(" else -1
                    if parentheses < 0 and self.level:
                        break
                found.append(token)
            self._counted()
        else:
            if self.level:
                self._refuse("An interpolation never ends", len(self.source), r"Close it: \( ).")
        found.append(("EOF", None, self.position))
        return found

    def _token(self) -> tuple[str, Any, int] | None:
        start = self.position
        field = _FIELD_RE.match(self.source, start)
        if field is not None:
            self.position = field.end()
            return ("FIELD", field.group(1), start)
        match = _TOKEN_RE.match(self.source, start)
        if match is None:
            character = self.source[start]
            self._refuse(f"Unexpected character {character!r}", start, _INSTEAD.get(character))
        self.position = match.end()
        text, kind = match.group(), match.lastgroup
        if kind in ("ws", "comment"):
            return None
        if kind == "num":
            return ("NUM", self._number(text, start), start)
        if kind == "ident":
            return ("KW" if text in KEYWORDS else "IDENT", text, start)
        if kind in ("var", "format"):
            return (kind.upper(), text[1:], start)
        return ("OP", text, start)

    def _number(self, text: str, start: int) -> int | float:
        if _INT_RE.match(text) and len(text) <= _DIGITS:
            return int(text)
        number = float(text)
        if number == float("inf"):
            self._refuse("The number is too large", start)
        return number

    def _string(self) -> list[Any]:
        """Text fragments and `("interp", tokens)`."""
        start = self.position
        self.position += 1
        parts: list[Any] = []
        text: list[str] = []
        while True:
            character = self.source[self.position : self.position + 1]
            if character in ("", '"'):
                break
            if character != "\\":
                text.append(character)
                self.position += 1
            elif self.source[self.position + 1 : self.position + 2] == "(":
                if text:
                    parts.append(_without_surrogates("".join(text)))
                    text.clear()
                self.position += 2
                parts.append(("interp", self._interpolation()))
            else:
                text.append(self._escape())
        if not character:
            self._refuse("A string never ends", start, 'Close it with ".')
        self.position += 1
        if text:
            parts.append(_without_surrogates("".join(text)))
        return parts

    def _interpolation(self) -> list[tuple[str, Any, int]]:
        if self.level == _INTERPOLATIONS:
            self._refuse("Interpolations nest too deeply", self.position)
        self.level += 1
        found = self.tokens()
        self.level -= 1
        return found

    def _escape(self) -> str:
        start = self.position
        letter = self.source[start + 1 : start + 2]
        if letter in _ESCAPES:
            self.position += 2
            return str(_ESCAPES[letter])
        digits = self.source[start + 2 : start + 6]
        if letter != "u" or len(digits) != 4 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
            self._refuse(f"\\{letter} is no escape", start, r"The escapes are \" \\ \/ \b \f \n \r \t \uXXXX and \( ).")
        self.position += 6
        return chr(int(digits, 16))

    def _counted(self) -> None:
        self.count += 1
        if self.count > LIMITS.tokens:
            self._refuse(f"The expression has more than {LIMITS.tokens:,} words", self.position)

    def _refuse(self, problem: str, offset: int, hint: str | None = None) -> NoReturn:
        raise ExpressionFault(f"{problem}, at character {offset + 1} of the expression.", offset=offset, hint=hint)


class _Parser(Parser):  # type: ignore[misc]
    """purejq's grammar, with our bound on recursion, offsets on names, and flat commas."""

    def __init__(self, tokens: list[tuple[str, Any, int]], load: int) -> None:
        super().__init__(tokens)
        self.load = load

    def parse_primary(self) -> Any:
        offset = self.peek()[2]
        self._enter(_BRACKET)
        node = self._parse_primary()
        self.load -= _BRACKET
        if node[0] in ("call", "var", "format", "loc", "break") and not isinstance(node, Placed):
            node = Placed(node)
            node.offset = offset
        return node

    def parse_pipe(self) -> Any:
        self._enter(1)
        node = super().parse_pipe()
        self.load -= 1
        return node

    def parse_alt(self) -> Any:
        self._enter(1)
        node = super().parse_alt()
        self.load -= 1
        return node

    def parse_unary(self, allow_as: bool = True) -> Any:
        self._enter(1)
        node = super().parse_unary(allow_as)
        self.load -= 1
        return node

    def parse_comma(self) -> Any:
        items = [self.parse_alt()]
        while self.accept("OP", ","):
            items.append(self.parse_alt())
        return items[0] if len(items) == 1 else ("comma", items)

    def _str_node(self, parts: list[Any], fmt: str | None) -> Any:
        pieces = [
            part if isinstance(part, str) else _Parser(part[1], self.load + _BRACKET).parse_program() for part in parts
        ]
        if fmt is None and all(isinstance(piece, str) for piece in pieces):
            return ("const", "".join(pieces))
        return ("str", fmt, pieces)

    def _enter(self, weight: int) -> None:
        self.load += weight
        if self.load > LIMITS.load:
            raise ExpressionFault("The expression nests too deeply.", offset=self.peek()[2])


def _without_surrogates(text: str) -> str:
    """Pairs joined, halves replaced: JSON text in UTF-8 can hold neither."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _check_height(tree: Any) -> None:
    level = [tree]
    height = 0
    while level:
        height += 1
        if height > LIMITS.height:
            raise ExpressionFault("The expression nests too deeply.")
        level = [part for node in level if isinstance(node, tuple | list) for part in node]


def _located(message: str) -> ExpressionFault:
    """The parse error of purejq: `... at position N`, where N is one of our offsets."""
    message = message.replace("EOF None", "the end").replace("Unexpected token None", "Unexpected end")
    found = _at.search(message)
    offset = int(found.group(1)) if found else 0
    return ExpressionFault(f"{_at.sub('', message)}, at character {offset + 1} of the expression.", offset=offset)
