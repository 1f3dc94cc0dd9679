"""Runtime expressions: jq, read once and evaluated behind the guard (language.md 7).

What may be written is decided by `guard/syntax.py` and `guard/check.py`, what it may cost by `guard/limits.py`; the engine is
purejq's grammar and operations in the guard's own evaluator. The same expression on the same values gives the same
result, the same fault and the same cost everywhere: nothing here reads a clock, chance or the environment.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import purejq
from purejq.errors import JqBreak, JqError

from perdure.language.guard.calls import compile_tree
from perdure.language.guard.check import check_tree
from perdure.language.guard.faults import ExpressionFault
from perdure.language.guard.limits import LIMITS
from perdure.language.guard.runtime import Env, Filter, check_result, is_small
from perdure.language.guard.secrets import bind_secrets
from perdure.language.guard.syntax import parse_source
from perdure.language.guard.values import encode, field
from perdure.language.values import Json

__all__ = ["Expression", "ExpressionFault", "engine_name", "json_text", "parse"]

ENGINE = "0.3.1"
GUARD = 1
"""Raised with every change of meaning or cost: runs keep the engine they were started with."""


def require_engine(version: str) -> None:
    """ImportError when purejq is not the very version whose tuples and operations the guard was written for."""
    if version != ENGINE:
        raise ImportError(f"Perdure needs purejq {ENGINE} exactly and found {version}: pip install purejq=={ENGINE}")


require_engine(purejq.__version__)

_Evaluate = Callable[[Json, Mapping[str, Json]], Json]
_SHOWN = 300


class Expression:
    """One jq expression.

    `names` are the arguments it uses (without `$`), `secrets` the names of the secrets among them, `gives_several`
    whether it is plain to see that it has more than one output. `evaluate(value, arguments)` gives its first output
    on `value`, None when it has none, and raises ExpressionFault for everything that goes wrong.
    """

    __slots__ = ("evaluate", "gives_several", "names", "secrets", "source")

    def __init__(self, source: str, names: frozenset[str] | None) -> None:
        tree = parse_source(source)
        self.source = source
        self.names = check_tree(tree, names)
        found: set[str] = set()
        if "secrets" in self.names or "authorization" in self.names:
            tree = bind_secrets(tree, found)
        self.secrets = frozenset(found)
        self.gives_several = _last(tree)[0] in ("comma", "iterate")
        self.evaluate: _Evaluate = _plain(tree) or _guarded(compile_tree(tree))

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


@lru_cache(maxsize=4096)
def parse(source: str, names: frozenset[str] | None = None) -> Expression:
    """Read an expression. ExpressionFault when it is no jq, or uses what is not offered.

    `names` are the arguments this field offers (language.md 1.1), without `$`; None offers any.
    """
    try:
        return Expression(source, names)
    except RecursionError:
        raise ExpressionFault("The expression nests too deeply.") from None


def engine_name() -> str:
    """Engine, guard and limits: a part of every Program's hash."""
    return f"purejq {ENGINE} guard {GUARD} ({' '.join(map(str, LIMITS))})"


def json_text(value: Json) -> str:
    """A value as jq prints it, on one line."""
    return encode(value)


def _last(tree: Any) -> Any:
    while tree[0] in ("pipe", "as", "funcdef", "label"):
        tree = tree[-1]
    return tree


def _plain(tree: Any) -> _Evaluate | None:
    """`.`, `.a.b`, `$x`, `$x.a`: a part of what came in, which needs no fuel and no check."""
    path: list[str] = []
    while tree[0] == "field":
        path.append(tree[2])
        tree = tree[1]
    path.reverse()
    if tree[0] == "identity":
        return lambda value, _arguments: _walk(value, path)
    if tree[0] == "var":
        name = tree[1]
        return lambda _value, arguments: _walk(_argument(arguments, name), path)
    return None


def _walk(value: Json, path: list[str]) -> Json:
    for name in path:
        if type(value) is dict:
            value = value.get(name)
        elif value is not None:
            try:
                field(value, name)
            except JqError as error:
                raise _fault(error) from None
    return value


def _argument(arguments: Mapping[str, Json], name: str) -> Json:
    try:
        return arguments[name]
    except KeyError:
        raise ExpressionFault(f"${name} has no value here.") from None


def _guarded(compiled: Filter) -> _Evaluate:
    direct, values = compiled.direct, compiled.values

    def evaluate(value: Json, arguments: Mapping[str, Json]) -> Json:
        env = Env(arguments)
        try:
            result = next(values(value, env), None) if direct is None else direct(value, env)
        except ExpressionFault:
            raise
        except (JqError, JqBreak, RecursionError, MemoryError, ArithmeticError, ValueError, TypeError) as error:
            raise _fault(error) from None
        if not is_small(result):
            check_result(result)
        return result

    return evaluate


def _fault(error: BaseException) -> ExpressionFault:
    if isinstance(error, JqError):
        text = error.value if isinstance(error.value, str) else _thrown(error.value)
        return ExpressionFault(_sentence(text))
    if isinstance(error, RecursionError):
        return ExpressionFault("The expression nests too deeply.")
    if isinstance(error, MemoryError):
        return ExpressionFault("The expression needs too much memory.")
    return ExpressionFault(_sentence(f"The expression fails: {error}"))


def _thrown(value: Json) -> str:
    try:
        check_result(value)
        return f"The expression raises {encode(value)}"
    except ExpressionFault:
        return "The expression raises a value that is too large to show"


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    text = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return text if text.endswith((".", "…")) else text + "."
