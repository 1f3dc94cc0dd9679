"""Runtime expressions: jq, parsed once and evaluated behind the guard (language.md 7)."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import purejq
from purejq.compiler import Env, _names_ctx, collect_defined_names, compile_v
from purejq.parser import parse as parse_jq

from perdure.language.guard_faults import ExpressionFault
from perdure.language.guard_secrets import bind_secrets
from perdure.language.values import Json

__all__ = ["Expression", "ExpressionFault", "engine_name", "json_text", "parse"]


class Expression:
    def __init__(self, source: str, ast: Any, names: frozenset[str]) -> None:
        found: set[str] = set()
        ast = bind_secrets(ast, found)
        self.secrets = frozenset(found)
        self.source = source
        self.names = names
        with _names_ctx(frozenset(collect_defined_names(ast))):
            self._run = compile_v(ast)

    def evaluate(self, value: Json, arguments: Mapping[str, Json]) -> Json:
        env = Env(vars=dict(arguments))
        try:
            for result in self._run(value, env):
                return result
        except Exception as error:
            raise ExpressionFault(str(error)) from None
        return None


def engine_name() -> str:
    return f"purejq {purejq.__version__} guard 1"


def json_text(value: Json) -> str:
    return purejq.encode(value)


@lru_cache(maxsize=4096)
def parse(source: str, names: frozenset[str] | None = None) -> Expression:
    try:
        ast = parse_jq(source)
    except purejq.JqParseError as error:
        raise ExpressionFault(str(error)) from None
    used: set[str] = set()
    _variables(ast, used)
    for name in sorted(used):
        if names is not None and name not in names:
            raise ExpressionFault(f"${name} is not offered here.")
    return Expression(source, ast, frozenset(used))


def _variables(node: Any, found: set[str]) -> None:
    if isinstance(node, tuple) and node and node[0] == "var":
        found.add(node[1])
    if isinstance(node, tuple | list):
        for part in node:
            _variables(part, found)
