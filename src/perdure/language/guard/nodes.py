"""Values of each kind of node: the table VALUE_NODES, from the parser's tuples to compiled filters.

A node whose parts all have exactly one output has exactly one itself, and is compiled to a plain function; the others
are generators. The order of outputs is purejq's.
"""

from collections.abc import Callable, Iterator
from typing import Any

from purejq.builtins import apply_format
from purejq.compiler import _bindings_for, _collect_pattern_vars
from purejq.errors import JqBreak, JqError
from purejq.ops import iterate_value

from perdure.language.guard.runtime import Direct, Env, Filter, Site, combinations, one, out_of_fuel, weigh
from perdure.language.guard.values import BINARY, cut, field, index, made_key, negate, to_text, truthy
from perdure.language.values import Json

_ABSENT = object()


def _identity(_node: Any, _site: Site) -> Filter:
    return one(lambda value, _env: value, 1)


def _constant(node: Any, _site: Site) -> Filter:
    constant = node[1]
    return one(lambda _value, _env: constant, 1)


def _empty_array(_node: Any, _site: Site) -> Filter:
    return one(lambda _value, _env: [], 1)


def _variable(node: Any, _site: Site) -> Filter:
    name = node[1]
    return one(lambda _value, env: env.lookup(name), 1)


def _field(node: Any, site: Site) -> Filter:
    name = node[2]
    if node[1] == ("identity",):
        return one(lambda value, _env: value.get(name) if type(value) is dict else field(value, name), 1)
    return _each(site.filter(node[1]), lambda value, _env: field(value, name))


def _each(source: Filter, apply: Direct) -> Filter:
    """One output for each of the source's."""
    if source.direct is not None:
        inner = source.direct
        return one(lambda value, env: apply(inner(value, env), env), source.cost + 1)

    def values(value: Json, env: Env) -> Iterator[Json]:
        meter = env.meter
        for item in source.values(value, env):
            meter.fuel -= 1
            yield apply(item, env)

    return Filter(values)


def _pairs(first: Filter, second: Filter, apply: Callable[[Json, Json, Env], Json]) -> Filter:
    """One output for each pair; the first varies slowest."""
    if first.direct is not None and second.direct is not None:
        left, right = first.direct, second.direct
        return one(lambda value, env: apply(left(value, env), right(value, env), env), first.cost + second.cost + 1)

    def values(value: Json, env: Env) -> Iterator[Json]:
        meter = env.meter
        for outer in first.values(value, env):
            for inner in second.values(value, env):
                meter.fuel -= 1
                yield apply(outer, inner, env)

    return Filter(values)


def _index(node: Any, site: Site) -> Filter:
    return _pairs(site.filter(node[1]), site.filter(node[2]), index)


def _slice(node: Any, site: Site) -> Filter:
    bounds = [site.filter(("const", None) if bound is None else bound) for bound in node[2:]]
    parts = [site.filter(node[1]), *bounds]
    return rows(parts, lambda row, env: cut(row[0], row[1], row[2], env))


def rows(parts: list[Filter], apply: Callable[[Any, Env], Json]) -> Filter:
    """One output for each combination of the parts' outputs."""
    directs = [part.direct for part in parts]
    if None not in directs:
        cost = sum(part.cost for part in parts) + 1
        return one(lambda value, env: apply([direct(value, env) for direct in directs if direct], env), cost)

    def values(value: Json, env: Env) -> Iterator[Json]:
        for row in combinations(parts, value, env):
            yield apply(row, env)

    return Filter(values)


def _iterate(node: Any, site: Site) -> Filter:
    source = site.filter(node[1])

    def values(value: Json, env: Env) -> Iterator[Json]:
        meter = env.meter
        for container in source.values(value, env):
            for item in iterate(container):
                meter.fuel -= 1
                if meter.fuel < 0:
                    out_of_fuel()
                yield item

    return Filter(values)


def iterate(value: Json) -> Iterator[Json]:
    if isinstance(value, list | dict):
        return iter(iterate_value(value))
    raise JqError("Cannot iterate over " + ("null" if value is None else type(value).__name__))


def _pipe(node: Any, site: Site) -> Filter:
    before, after = site.filter(node[1]), site.filter(node[2])
    if after.direct is not None:
        cost, apply = after.cost, after.direct
        made = _each(before, apply)
        if before.direct is not None:
            made.cost = before.cost + cost
            return one(made.direct or apply, made.cost)

        def each(value: Json, env: Env) -> Iterator[Json]:
            meter = env.meter
            for item in before.values(value, env):
                meter.fuel -= cost
                yield apply(item, env)

        return Filter(each)

    def values(value: Json, env: Env) -> Iterator[Json]:
        for item in before.values(value, env):
            yield from after.values(item, env)

    return Filter(values)


def _comma(node: Any, site: Site) -> Filter:
    parts = [site.filter(part) for part in node[1]]

    def values(value: Json, env: Env) -> Iterator[Json]:
        for part in parts:
            env.spend(1)
            yield from part.values(value, env)

    return Filter(values)


def _binary(node: Any, site: Site) -> Filter:
    operation = BINARY[node[1]]
    left, right = site.filter(node[2]), site.filter(node[3])
    if left.direct is not None and right.direct is not None:
        return _pairs(left, right, operation)
    return _pairs(right, left, lambda outer, inner, env: operation(inner, outer, env))


def _logic(node: Any, site: Site) -> Filter:
    left, right = site.filter(node[1]), site.filter(node[2])
    decisive = node[0] == "or"
    if left.direct is not None and right.direct is not None:
        a, b = left.direct, right.direct

        def direct(value: Json, env: Env) -> bool:
            return decisive if truthy(a(value, env)) is decisive else truthy(b(value, env))

        return one(direct, left.cost + right.cost + 1)

    def values(value: Json, env: Env) -> Iterator[Json]:
        for outer in left.values(value, env):
            if truthy(outer) is decisive:
                yield decisive
            else:
                for inner in right.values(value, env):
                    env.spend(1)
                    yield truthy(inner)

    return Filter(values)


def _alternative(node: Any, site: Site) -> Filter:
    left, right = site.filter(node[1]), site.filter(node[2])
    if left.direct is not None and right.direct is not None:
        a, b = left.direct, right.direct

        def direct(value: Json, env: Env) -> Json:
            found = a(value, env)
            return found if truthy(found) else b(value, env)

        return one(direct, left.cost + right.cost + 1)

    def values(value: Json, env: Env) -> Iterator[Json]:
        found = False
        for item in left.values(value, env):
            if truthy(item):
                found = True
                yield item
        if not found:
            yield from right.values(value, env)

    return Filter(values)


def _negate(node: Any, site: Site) -> Filter:
    return _each(site.filter(node[1]), lambda value, _env: negate(value))


def _try(node: Any, site: Site) -> Filter:
    body = site.filter(node[1])
    handler = None if len(node) == 2 or node[2] is None else site.filter(node[2])

    def values(value: Json, env: Env) -> Iterator[Json]:
        env.spend(1)
        outputs = body.values(value, env)
        while True:
            try:
                item = next(outputs, _ABSENT)
            except JqError as error:
                if handler is not None:
                    yield from handler.values(error.value, env)
                return
            if item is _ABSENT:
                return
            yield item

    return Filter(values)


def _collect(node: Any, site: Site) -> Filter:
    body = site.filter(node[1])
    if body.direct is not None:
        inner = body.direct
        return one(lambda value, env: [inner(value, env)], body.cost + 1)
    return one(lambda value, env: list(body.values(value, env)), 2)


def _text(node: Any, site: Site) -> Filter:
    name = node[1] or "text"
    parts = [site.filter(("const", part) if isinstance(part, str) else part) for part in node[2]]
    literal = [isinstance(part, str) for part in node[2]]

    def join(row: Any, env: Env) -> str:
        texts = [item if known else formatted(name, item, env) for item, known in zip(row, literal, strict=True)]
        whole = "".join(texts)
        env.spend(len(whole) >> 5)
        return whole

    return rows(parts, join)


def formatted(name: str, value: Json, env: Env) -> str:
    """`@name` applied to a value."""
    if name in ("text", "json"):
        if name == "text" or not isinstance(value, str):
            return to_text(value, env)
        return to_text([value], env)[1:-1]
    if isinstance(value, list | dict):
        env.spend(weigh(value, env) * 4)
    elif isinstance(value, str):
        env.spend(len(value) >> 3)
    try:
        return str(apply_format(name, value))
    except UnicodeError:
        raise JqError(f"The text is not valid for @{name}") from None


def _format(node: Any, _site: Site) -> Filter:
    name = node[1]
    return one(lambda value, env: formatted(name, value, env), 1)


def _object(node: Any, site: Site) -> Filter:
    parts = [site.filter(part) for entry in node[1] for part in entry]
    if all(key[0] == "const" for key, _ in node[1]) and all(part.direct is not None for part in parts[1::2]):
        entries = [(key[1], part.direct) for (key, _), part in zip(node[1], parts[1::2], strict=True) if part.direct]
        cost = sum(part.cost for part in parts[1::2]) + 2
        return one(lambda value, env: {key: direct(value, env) for key, direct in entries}, cost)

    def build(row: Any, _env: Env) -> Json:
        return {made_key(key): item for key, item in zip(row[::2], row[1::2], strict=True)}

    # Constant keys were checked when the expression was read; one of them may be a handle's (`secrets.py`).
    if all(key[0] == "const" for key, _ in node[1]):
        return rows(parts, lambda row, _env: dict(zip(row[::2], row[1::2], strict=True)))
    return rows(parts, build)


def _if(node: Any, site: Site) -> Filter:
    branches = [(site.filter(condition), site.filter(then)) for condition, then in node[1]]
    otherwise = site.filter(("identity",) if node[2] is None else node[2])
    parts = [otherwise, *[part for branch in branches for part in branch]]
    if all(part.direct is not None for part in parts):
        arms = [(a.direct, b.direct) for a, b in branches]

        def direct(value: Json, env: Env) -> Json:
            for condition, then in arms:
                if truthy(condition(value, env)):  # type: ignore[misc]
                    return then(value, env)  # type: ignore[misc]
            return otherwise.direct(value, env)  # type: ignore[misc]

        return one(direct, sum(part.cost for part in parts) + 1)

    def values(value: Json, env: Env, number: int = 0) -> Iterator[Json]:
        if number == len(branches):
            yield from otherwise.values(value, env)
            return
        condition, then = branches[number]
        for decision in condition.values(value, env):
            if truthy(decision):
                yield from then.values(value, env)
            else:
                yield from values(value, env, number + 1)

    return Filter(values)


def patterns(node: Any, site: Site) -> tuple[list[Any], str | None, set[str]]:
    """Compiled patterns, the name when it is a single variable, and all names."""
    names: set[str] = set()
    for pattern in node:
        _collect_pattern_vars(pattern, names)
    single = node[0][1] if len(node) == 1 and node[0][0] == "pvar" else None
    return [_pattern(pattern, site) for pattern in node], single, names


def _pattern(pattern: Any, site: Site) -> Any:
    if pattern[0] == "pvar":
        return pattern
    if pattern[0] == "parray":
        return ("parray", [_pattern(item, site) for item in pattern[1]])
    entries = [(site.filter(key).values, _pattern(item, site), name) for key, item, name in pattern[1]]
    return ("pobject", entries)


def bindings(compiled: list[Any], value: Json, env: Env, names: set[str]) -> Iterator[dict[str, Json]]:
    """What the patterns bind in a value; the first pattern that fits counts."""
    for bound in _bindings_for(compiled, value, env, sorted(names)):
        env.spend(len(bound) + 1)
        yield bound


def _as(node: Any, site: Site) -> Filter:
    source, body = site.filter(node[1]), site.filter(node[3])
    compiled, single, names = patterns(node[2], site)
    if single is not None and source.direct is not None and body.direct is not None:
        a, b = source.direct, body.direct
        return one(lambda value, env: b(value, Env({single: a(value, env)}, env)), source.cost + body.cost + 2)
    if len(compiled) > 1:
        return Filter(lambda value, env: _alternatives(source, body, compiled, names, value, env))

    def values(value: Json, env: Env) -> Iterator[Json]:
        for item in source.values(value, env):
            bound = ({single: item},) if single is not None else bindings(compiled, item, env, names)
            for scope in bound:
                env.spend(1)
                yield from body.values(value, Env(scope, env))

    return Filter(values)


def _alternatives(
    source: Filter, body: Filter, compiled: list[Any], names: set[str], value: Json, env: Env
) -> Iterator[Json]:
    """`as [$a] ?// $a`: an error in matching or in the body goes on with the next pattern; the last one's counts."""
    for item in source.values(value, env):
        for pattern in compiled:  # pragma: no branch - the last one breaks or raises
            try:
                found = [
                    output
                    for bound in bindings([pattern], item, env, names)
                    for output in body.values(value, Env(bound, env))
                ]
            except JqError:
                if pattern is compiled[-1]:
                    raise
                continue
            yield from found
            break


def _reduce(node: Any, site: Site) -> Filter:
    source, start, update = site.filter(node[1]), site.filter(node[3]), site.filter(node[4])
    compiled, single, names = patterns(node[2], site)

    def fold(value: Json, state: Json, env: Env) -> Json:
        for item in source.values(value, env):
            for bound in ({single: item},) if single is not None else bindings(compiled, item, env, names):
                env.spend(2)
                inner = Env(bound, env)
                last = state
                if update.direct is not None:
                    env.spend(update.cost)
                    state = update.direct(last, inner)
                else:
                    state = _ABSENT
                    for output in update.values(last, inner):
                        state = output
                    if state is _ABSENT:
                        return _ABSENT
        return state

    if start.direct is not None and update.direct is not None:
        first = start.direct
        return one(lambda value, env: fold(value, first(value, env), env), start.cost + 2)

    def values(value: Json, env: Env) -> Iterator[Json]:
        for state in start.values(value, env):
            result = fold(value, state, env)
            if result is not _ABSENT:
                yield result

    return Filter(values)


def _foreach(node: Any, site: Site) -> Filter:
    source, start, update = site.filter(node[1]), site.filter(node[3]), site.filter(node[4])
    extract = site.filter(("identity",) if node[5] is None else node[5])
    compiled, single, names = patterns(node[2], site)

    def values(value: Json, env: Env) -> Iterator[Json]:
        for start_state in start.values(value, env):
            state = start_state
            for item in source.values(value, env):
                for bound in ({single: item},) if single is not None else bindings(compiled, item, env, names):
                    env.spend(2)
                    inner = Env(bound, env)
                    for output in update.values(state, inner):
                        state = output
                        yield from extract.values(state, inner)

    return Filter(values)


def _label(node: Any, site: Site) -> Filter:
    body = site.filter(node[2])
    name = "*" + node[1]

    def values(value: Json, env: Env) -> Iterator[Json]:
        token = object()
        env.spend(2)
        try:
            yield from body.values(value, Env({name: token}, env))
        except JqBreak as jump:
            if jump.token is not token:
                raise

    return Filter(values)


def _break(node: Any, _site: Site) -> Filter:
    name = "*" + node[1]

    def values(_value: Json, env: Env) -> Iterator[Json]:
        raise JqBreak(env.lookup(name))
        yield

    return Filter(values)


VALUE_NODES: dict[str, Callable[[Any, Site], Filter]] = {
    "identity": _identity,
    "const": _constant,
    "emptyarray": _empty_array,
    "var": _variable,
    "field": _field,
    "index": _index,
    "slice": _slice,
    "iterate": _iterate,
    "pipe": _pipe,
    "comma": _comma,
    "binop": _binary,
    "and": _logic,
    "or": _logic,
    "alt": _alternative,
    "neg": _negate,
    "opt": _try,
    "try": _try,
    "collect": _collect,
    "str": _text,
    "format": _format,
    "object": _object,
    "if": _if,
    "as": _as,
    "reduce": _reduce,
    "foreach": _foreach,
    "label": _label,
    "break": _break,
}
"""Calls, definitions and assignments join in `calls.py`."""
