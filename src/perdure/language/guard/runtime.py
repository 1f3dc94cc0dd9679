"""What an evaluation carries (scope and fuel), what a compiled filter is, and what values may cost.

Every loop spends fuel for each round, every filter for itself, every operation that touches a whole value for its
size; so fuel bounds time and memory together. All of it is counted, nothing is measured: replay spends the same.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from math import isfinite
from typing import Any, NoReturn, Optional

from purejq.errors import JqError

from perdure.language.guard.faults import ExpressionFault
from perdure.language.guard.limits import LIMITS
from perdure.language.values import Json


class Env:
    """One scope: names (`x` a variable, `("f", 1)` a function, `*x` a label), the scope around it, and the meter.

    `depth` counts the calls around this scope, `frames` the filters; `meter` is the outermost scope, whose `fuel` is
    what is left.
    """

    __slots__ = ("depth", "frames", "fuel", "meter", "names", "parent")

    def __init__(
        self, names: Mapping[Any, Any], parent: Optional["Env"] = None, within: Optional["Env"] = None
    ) -> None:
        """`within` is where the evaluation stands; by default in `parent`."""
        self.names = names
        self.parent = parent
        if within is None:
            within = parent
        if within is None:
            self.meter = self
            self.fuel = LIMITS.fuel
            self.depth = self.frames = 0
        else:
            self.meter = within.meter
            self.depth = within.depth
            self.frames = within.frames

    def lookup(self, name: Any) -> Any:
        env: Env | None = self
        while env is not None:
            if name in env.names:
                return env.names[name]
            env = env.parent
        raise ExpressionFault(f"${name} has no value here.")

    def spend(self, cost: int) -> None:
        meter = self.meter
        meter.fuel -= cost
        if meter.fuel < 0:
            out_of_fuel()

    def call(self, names: Mapping[Any, Any], parent: Optional["Env"], level: int) -> "Env":
        """The scope of a call made from here: one call deeper."""
        env = Env(names, parent, self)
        env.depth += 1
        env.frames += level + 1
        if env.depth > LIMITS.depth or env.frames > LIMITS.frames:
            raise ExpressionFault(
                f"The expression calls itself more than {LIMITS.depth} levels deep.",
                hint="Use reduce, foreach, until or recurse, which do not nest.",
            )
        self.spend(1)
        return env

    def __repr__(self) -> str:
        return f"Env({len(self.names)} names, fuel={self.meter.fuel}, depth={self.depth}, frames={self.frames})"


Values = Callable[[Json, Env], Iterator[Json]]
Direct = Callable[[Json, Env], Json]
Paths = Callable[[Json, list[Json], Env], Iterator[tuple[list[Json], Json]]]


class Filter:
    """A compiled filter: all its outputs, and `direct` where it always has exactly one (`cost`: its nodes)."""

    __slots__ = ("_paths", "cost", "direct", "node", "site", "values")
    node: Any
    site: "Site"

    def __init__(self, values: Values, direct: Direct | None = None, cost: int = 1) -> None:
        self.values = values
        self.direct = direct
        self.cost = cost
        self._paths: Paths | None = None

    def first(self, value: Json, env: Env, absent: Json = None) -> Json:
        if self.direct is not None:
            env.spend(self.cost)
            return self.direct(value, env)
        return next(self.values(value, env), absent)

    @property
    def paths(self) -> Paths:
        """Where in its input the outputs are; compiled on first use."""
        if self._paths is None:
            self._paths = self.site.path_nodes.get(self.node[0], no_paths)(self.node, self.site)
        return self._paths


def no_paths(node: Any, site: "Site") -> Paths:
    made = site.filter(node)

    def paths(value: Json, path: list[Json], env: Env) -> Iterator[tuple[list[Json], Json]]:
        for _ in made.values(value, env):
            raise JqError("Invalid path expression: this is a new value, not a place in the input")
        yield from ()

    return paths


class Site:
    """Where in a function's body something is compiled: the functions defined there, and how many filters deep."""

    __slots__ = ("level", "path_nodes", "scope", "value_nodes")

    def __init__(self, value_nodes: Any, path_nodes: Any, scope: frozenset[Any] = frozenset(), level: int = 0) -> None:
        self.value_nodes = value_nodes
        self.path_nodes = path_nodes
        self.scope = scope
        self.level = level

    def filter(self, node: Any) -> Filter:
        site = Site(self.value_nodes, self.path_nodes, self.scope, self.level + 1)
        made: Filter = self.value_nodes[node[0]](node, site)
        made.node = node
        made.site = site
        return made

    def body(self, node: Any, names: frozenset[Any]) -> Filter:
        """The body of a function, which begins to count its levels anew: a call adds those around it."""
        return Site(self.value_nodes, self.path_nodes, self.scope | names).filter(node)

    def knowing(self, names: frozenset[Any]) -> "Site":
        return Site(self.value_nodes, self.path_nodes, self.scope | names, self.level)


def one(direct: Direct, cost: int) -> Filter:
    """A filter with exactly one output."""

    def values(value: Json, env: Env) -> Iterator[Json]:
        meter = env.meter
        meter.fuel -= cost
        if meter.fuel < 0:
            out_of_fuel()
        yield direct(value, env)

    return Filter(values, direct, cost)


def combinations(filters: list[Filter], value: Json, env: Env) -> Iterator[tuple[Json, ...]]:
    """Every combination of the outputs of several filters on one value; the first varies slowest."""
    columns = []
    for item in filters:
        column = [item.direct(value, env)] if item.direct is not None else list(item.values(value, env))
        env.spend(item.cost)
        if not column:
            return
        columns.append(column)
    for row in product(*columns):
        env.spend(len(row))
        yield row


def out_of_fuel() -> NoReturn:
    raise ExpressionFault(
        f"The expression takes more than {LIMITS.fuel:,} steps.",
        hint="It loops for ever, or handles more than one expression may; split the work over several tasks.",
    )


def weigh(value: Json, env: Env) -> int:
    """Spend for walking a whole value, and return what was spent; bounds its depth, so that walking may recurse."""
    weight = 1
    if isinstance(value, str):
        weight += len(value) >> 6
    elif isinstance(value, list | dict):
        weight = _weight(value, env.meter.fuel)
    env.spend(weight)
    return weight


def _weight(value: Json, allowed: int) -> int:
    weight = height = 0
    level = [value]
    while level:
        height += 1
        if height > LIMITS.nesting:
            raise ExpressionFault(f"A value has more than {LIMITS.nesting} levels of arrays and objects.")
        weight += len(level)
        below: list[Json] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
                weight += len(item)
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, str):
                weight += len(item) >> 6
            if weight + len(below) > allowed:
                out_of_fuel()
        level = below
    return weight


_SCALARS = frozenset({str, int, bool, type(None)})


def check_result(value: Json) -> None:
    """ExpressionFault when a result is not JSON in UTF-8, not finite, too deep or too large."""
    size = height = 0
    level = [value]
    while level:
        height += 1
        if height > LIMITS.nesting:
            raise ExpressionFault(f"The result has more than {LIMITS.nesting} levels of arrays and objects.")
        below: list[Json] = []
        for item in level:
            kind = type(item)
            if kind is str:
                size += len(item)
            elif kind is dict:
                below.extend(item.values())
                for key in item:
                    size += len(key)
            elif kind is list:
                below.extend(item)
            elif kind is float and not isfinite(item):
                raise ExpressionFault("The result has a number that JSON does not know: NaN or infinity.")
            size += 2
            if size > LIMITS.output or len(below) > LIMITS.output:
                raise ExpressionFault(f"The result is larger than {LIMITS.output:,} characters.")
        level = below


def is_small(value: Json) -> bool:
    """Whether a result needs no closer look: no float, no container, no long text."""
    kind = type(value)
    return kind in _SCALARS and (kind is not str or len(value) <= LIMITS.output)


def number(value: Json) -> Json:
    """The number, unless it is an integer beyond all doubles."""
    if type(value) is int and value.bit_length() > LIMITS.bits:
        raise JqError("The number is too large")
    return value
