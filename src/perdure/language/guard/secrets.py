"""Secrets in expressions (language.md 5.5): static paths below `$secrets` become handles when the expression is parsed.

A handle may be a whole value (of the expression, an object, an array, a branch) or stand in a text; every other
computation with a secret is refused. Works on the parser's tuples, after `syntax.py` has accepted them.
"""

from typing import Any, NoReturn

from perdure.language.guard.faults import ExpressionFault

SECRET = "$perdure.secret"
"""Key of a handle: `{"$perdure.secret": ["name", "key", ...]}`."""

PARTS = "$perdure.parts"
"""Key of a text around handles: `{"$perdure.parts": ["Bearer ", {"$perdure.secret": ["token"]}]}`."""

RESERVED = "$perdure."
"""Keys with this beginning are made here only; expressions cannot (language.md 5.5)."""

_HINT = r'Use a secret as a whole value ($secrets.name) or inside a text ("Bearer \($secrets.name)").'


def bind_secrets(node: Any, found: set[str]) -> Any:
    """The expression with its secrets replaced by handles; their names are added to `found`."""
    path = _secret_path(node)
    if path is not None:
        found.add(path[0])
        return ("const", {SECRET: path})
    bind = _POSITIONS.get(node[0])
    if bind is not None:
        return bind(node, found)
    _refuse_inside(node)
    return node


def _secret_path(node: Any) -> list[str] | None:
    """`["name", "key"]` for `$secrets.name.key`, else None."""
    path: list[str] = []
    while node[0] in ("field", "index"):
        key = node[2] if node[0] == "field" else node[2][1] if node[2][0] == "const" else None
        if not isinstance(key, str):
            return None
        path.append(key)
        node = node[1]
    return path[::-1] if path and node == ("var", "secrets") else None


def _object(node: Any, found: set[str]) -> Any:
    for key, _ in node[1]:
        _refuse_inside(key)
    return ("object", [(key, bind_secrets(item, found)) for key, item in node[1]])


def _pass_on(node: Any, found: set[str]) -> Any:
    """The last part of these is their value; what comes before it is computation."""
    _refuse_inside(node[1:-1])
    return (*node[:-1], bind_secrets(node[-1], found))


def _all(node: Any, found: set[str]) -> Any:
    return ("comma", [bind_secrets(item, found) for item in node[1]])


def _if(node: Any, found: set[str]) -> Any:
    for condition, _ in node[1]:
        _refuse_inside(condition)
    branches = [(condition, bind_secrets(then, found)) for condition, then in node[1]]
    return ("if", branches, None if node[2] is None else bind_secrets(node[2], found))


def _text(node: Any, found: set[str]) -> Any:
    """A text with handles in it is a list of parts, joined where the secrets are resolved."""
    pieces = [piece if isinstance(piece, str) else _part(piece, found) for piece in node[2]]
    if not any(isinstance(piece, tuple) and piece[0] == "handle" for piece in pieces):
        _refuse_inside(node)
        return node
    if node[1] not in (None, "text"):
        _refuse()
    items: list[Any] = []
    bindings = []
    for number, piece in enumerate(pieces):
        if isinstance(piece, str):
            item: Any = ("const", piece)
        elif piece[0] == "handle":
            item = piece[1]
        else:
            _refuse_inside(piece)
            item = ("var", f" part {number}")
            bindings.append((item[1], ("pipe", piece, ("format", "text"))))
        items.append(item)
    made: Any = ("object", [(("const", PARTS), ("collect", ("comma", items)))])
    for name, source in reversed(bindings):
        made = ("as", source, [("pvar", name)], made)
    return made


def _part(piece: Any, found: set[str]) -> Any:
    """A handle inside a text: a secret, or the parameter of `$authorization`, which is a handle already (1.1)."""
    path = _secret_path(piece)
    if path is not None:
        found.add(path[0])
        return ("handle", ("const", {SECRET: path}))
    if piece == ("field", ("var", "authorization"), "parameter"):
        return ("handle", piece)
    return piece


def _refuse_inside(node: Any) -> None:
    pending = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, tuple | list):
            if len(item) == 2 and item[1] == "secrets" and item[0] in ("var", "pvar"):
                _refuse()
            pending.extend(item)


def _refuse() -> NoReturn:
    raise ExpressionFault("Nothing can be computed with a secret.", hint=_HINT)


_POSITIONS = {
    "object": _object,
    "collect": _pass_on,
    "pipe": _pass_on,
    "as": _pass_on,
    "funcdef": _pass_on,
    "label": _pass_on,
    "comma": _all,
    "if": _if,
    "str": _text,
}
