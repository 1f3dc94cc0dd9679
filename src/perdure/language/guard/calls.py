"""Calls and definitions: functions that an expression defines, and the builtins that are offered."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from perdure.language.guard.functions import FUNCTIONS
from perdure.language.guard.nodes import VALUE_NODES, rows
from perdure.language.guard.paths import PATH_NODES, Path, assign
from perdure.language.guard.runtime import Env, Filter, Paths, Site, combinations, no_paths, one
from perdure.language.guard.streams import DEFINED, FOLDS, PATHS, STREAMS
from perdure.language.guard.syntax import parse_source
from perdure.language.values import Json

REFUSED = frozenset(
    "env now localtime strflocaltime input inputs input_filename input_line_number debug stderr halt halt_error "
    "get_search_list import include".split()
)
"""Functions of jq that reach outside the expression (language.md 7.3). `$ENV`, `$__loc__` and `$__prog_args` too."""

OFFERED = frozenset({*FUNCTIONS, *FOLDS, *STREAMS, *DEFINED})
"""(name, number of arguments) of every builtin an expression may call."""


class _Argument:
    """A filter given as an argument, with the scope it was written in."""

    __slots__ = ("env", "filter")

    def __init__(self, filter_: Filter, env: Env) -> None:
        self.filter = filter_
        self.env = env

    def values(self, value: Json, env: Env, _arguments: list[Filter], level: int) -> Iterator[Json]:
        return self.filter.values(value, env.call({}, self.env, level))

    def paths(self, value: Json, path: Path, env: Env, _arguments: list[Filter], level: int) -> Iterator[Any]:
        return self.filter.paths(value, path, env.call({}, self.env, level))


class _Function:
    """A function: its parameters, its body, the scope of its definition (None for a builtin)."""

    __slots__ = ("body", "env", "has_values", "parameters")

    def __init__(self, parameters: list[str], body: Filter, env: Env | None) -> None:
        self.parameters = parameters
        self.has_values = any(parameter.startswith("$") for parameter in parameters)
        self.body = body
        self.env = env

    def values(self, value: Json, env: Env, arguments: list[Filter], level: int) -> Iterator[Json]:
        if not self.has_values:
            return self.body.values(value, env.call(self._names(arguments, env), self.env, level))
        return self._each(value, env, arguments, level)

    def paths(self, value: Json, path: Path, env: Env, arguments: list[Filter], level: int) -> Iterator[Any]:
        for scope in self._scopes(value, env, arguments, level):
            yield from self.body.paths(value, path, scope)

    def _each(self, value: Json, env: Env, arguments: list[Filter], level: int) -> Iterator[Json]:
        for scope in self._scopes(value, env, arguments, level):
            yield from self.body.values(value, scope)

    def _names(self, arguments: list[Filter], env: Env) -> dict[Any, Any]:
        pairs = zip(self.parameters, arguments, strict=True)
        return {(name, 0): _Argument(argument, env) for name, argument in pairs if not name.startswith("$")}

    def _scopes(self, value: Json, env: Env, arguments: list[Filter], level: int) -> Iterator[Env]:
        """One scope for each combination of the values of the `$parameters`."""
        given = [(name[1:], item) for name, item in zip(self.parameters, arguments, strict=True) if name[0] == "$"]
        for row in combinations([item for _, item in given], value, env):
            names = self._names(arguments, env)
            for (name, _), item in zip(given, row, strict=True):
                names[name] = item
                names[(name, 0)] = _Argument(_constant(item), env)
            yield env.call(names, self.env, level)


def _constant(item: Json) -> Filter:
    made = one(lambda _value, _env: item, 1)
    made.node, made.site = ("const", item), Site(NODES, PLACES)
    return made


def parameters_of(node: Any) -> frozenset[Any]:
    """What a definition's body may call: itself and its parameters."""
    return frozenset({(node[1], len(node[2])), *((name.lstrip("$"), 0) for name in node[2])})


def _prepared(node: Any, site: Site) -> tuple[Any, list[str], Filter, Filter]:
    key = (node[1], len(node[2]))
    body = site.body(node[3], parameters_of(node))
    return key, node[2], body, site.knowing(frozenset({key})).filter(node[4])


def _scope(key: Any, parameters: list[str], body: Filter, env: Env) -> Env:
    names: dict[Any, Any] = {}
    scope = Env(names, env)
    names[key] = _Function(parameters, body, scope)
    return scope


def _definition(node: Any, site: Site) -> Filter:
    key, parameters, body, rest = _prepared(node, site)

    def values(value: Json, env: Env) -> Iterator[Json]:
        env.spend(2)
        return rest.values(value, _scope(key, parameters, body, env))

    return Filter(values)


def _definition_paths(node: Any, site: Site) -> Paths:
    key, parameters, body, rest = _prepared(node, site)
    return lambda value, path, env: rest.paths(value, path, _scope(key, parameters, body, env))


@cache
def _builtin(key: tuple[str, int]) -> _Function:
    """A builtin that is written in jq, compiled on first use."""
    parameters, source = DEFINED[key]
    names = frozenset((name.lstrip("$"), 0) for name in parameters)
    return _Function(parameters, Site(NODES, PLACES).body(parse_source(source), names), None)


def _call(node: Any, site: Site) -> Filter:
    key = (node[1], len(node[2]))
    arguments = [site.filter(argument) for argument in node[2]]
    level = site.level
    if key in site.scope:
        return Filter(lambda value, env: env.lookup(key).values(value, env, arguments, level))
    if key in FUNCTIONS:
        return _function(FUNCTIONS[key], arguments)
    if key in FOLDS:
        fold = FOLDS[key]
        return one(lambda value, env: fold(value, env, *arguments), 2)
    if key in STREAMS:
        stream = STREAMS[key]
        return Filter(lambda value, env: stream(value, env, *arguments))
    builtin = _builtin(key)
    return Filter(lambda value, env: builtin.values(value, env, arguments, level))


def _function(apply: Any, arguments: list[Filter]) -> Filter:
    if not arguments:
        return one(apply, 2)
    identity = one(lambda value, _env: value, 1)
    if len(arguments) == 1 and arguments[0].direct is not None:
        argument = arguments[0].direct
        return one(lambda value, env: apply(value, env, argument(value, env)), arguments[0].cost + 2)
    return rows([identity, *arguments], lambda row, env: apply(row[0], env, *row[1:]))


def _call_paths(node: Any, site: Site) -> Paths:
    key = (node[1], len(node[2]))
    arguments = [site.filter(argument) for argument in node[2]]
    level = site.level
    if key in site.scope:
        return lambda value, path, env: env.lookup(key).paths(value, path, env, arguments, level)
    if key in PATHS:
        paths = PATHS[key]
        return lambda value, path, env: paths(value, path, env, *arguments)
    if key in DEFINED:
        builtin = _builtin(key)
        return lambda value, path, env: builtin.paths(value, path, env, arguments, level)
    return no_paths(node, site)


NODES = {**VALUE_NODES, "call": _call, "funcdef": _definition, "assign": assign}
PLACES = {**PATH_NODES, "call": _call_paths, "funcdef": _definition_paths}


def compile_tree(tree: Any) -> Filter:
    """The filter of a whole expression."""
    return Site(NODES, PLACES).filter(tree)
