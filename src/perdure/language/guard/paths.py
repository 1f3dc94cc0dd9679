"""Places in values: the table PATH_NODES, assignments, and changing a copy of a value at many places.

A copy is made once for each container on the way, not once for each place, so updates stay linear.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from purejq.errors import JqBreak, JqError
from purejq.ops import _resolve_path, type_name

from perdure.language.guard.limits import LIMITS
from perdure.language.guard.nodes import bindings, patterns
from perdure.language.guard.runtime import Env, Filter, Paths, Site, one, weigh
from perdure.language.guard.values import (
    BINARY,
    cut,
    encode,
    field,
    index,
    is_number,
    made_key,
    order,
    position_in,
    truthy,
)
from perdure.language.values import Json

Path: TypeAlias = list[Json]
_Found: TypeAlias = Iterator[tuple[Path, Json]]
_ABSENT = object()


class Draft:
    """A value being changed: containers are copied when first touched, then changed in place."""

    __slots__ = ("_owned", "root")

    def __init__(self, root: Json) -> None:
        self.root = root
        self._owned: dict[int, Json] = {}

    def read(self, path: Path, env: Env) -> Json:
        """What is there now. The caller may keep it, so it is not changed in place any more."""
        value = read(self.root, path, env)
        if id(value) in self._owned:
            self._owned.clear()
        return value

    def write(self, path: Path, value: Json, env: Env) -> None:
        self._change(path, env, lambda container, key: _store(container, key, value), value)

    def delete(self, path: Path, env: Env) -> None:
        if not path:
            self.root = None
        elif _exists(self.root, path, env):
            self._change(path, env, _remove, None)

    def _change(self, path: Path, env: Env, act: Callable[[Json, Json], None], whole: Json) -> None:
        if len(path) > LIMITS.nesting:
            raise JqError("Path too deep")
        env.spend(len(path) + 1)
        if not path:
            self.root = whole
            self._owned.clear()
            return
        container = self.root = self._mine(self.root, path[0], env)
        for at, key in enumerate(path[:-1]):
            if isinstance(key, dict):
                self._change_slice(container, key, path[at + 1 :], env, act)
                return
            child = self._mine(index(container, key, env), path[at + 1], env)
            _store(container, key, child)
            container = child
        act(container, path[-1])

    def _change_slice(
        self, container: list[Json], key: dict[str, Json], rest: Path, env: Env, act: Callable[[Json, Json], None]
    ) -> None:
        inner = Draft(cut(container, key.get("start"), key.get("end"), env))
        inner._change(rest, env, act, None)
        _store(container, key, inner.root)

    def _mine(self, value: Json, key: Json, env: Env) -> Json:
        """A container that fits the key and is ours to change."""
        if isinstance(key, str):
            made_key(key)
            wanted: type[Any] = dict
        elif is_number(key) or isinstance(key, dict):
            wanted = list
        else:
            raise JqError(f"Invalid path component: {type_name(key)}")
        if value is not None and not isinstance(value, wanted):
            raise JqError(f"Cannot index {type_name(value)} with {type_name(key)}")
        if id(value) in self._owned:
            return value
        copy = wanted() if value is None else value.copy()
        env.spend(len(copy) >> 3)
        self._owned[id(copy)] = copy
        return copy


def read(value: Json, path: Path, env: Env) -> Json:
    env.spend(len(path) + 1)
    for key in path:
        value = field(value, key) if isinstance(key, str) else index(value, key, env)
    return value


def _exists(value: Json, path: Path, env: Env) -> bool:
    parent, key = read(value, path[:-1], env), path[-1]
    if parent is None:
        return False
    if isinstance(key, str) and isinstance(parent, dict):
        return key in parent
    if isinstance(parent, list) and isinstance(key, dict):
        return True
    if isinstance(parent, list) and is_number(key):
        return bool(0 <= key < len(parent))
    raise JqError(f"Cannot delete {type_name(key)} of {type_name(parent)}")


def _bounds(container: list[Json], key: dict[str, Json]) -> slice:
    """A slice's bounds as Python counts them; a part cut at them is what `cut` gives."""
    low, high = key.get("start"), key.get("end")
    for bound in (low, high):
        if bound is not None and not is_number(bound):
            raise JqError("Start and end indices of a slice must be numbers")
    length = len(container)
    start = 0 if low is None else int(low // 1)
    end = length if high is None else int(-(-high // 1))
    start, end = (min(max(bound + length if bound < 0 else bound, 0), length) for bound in (start, end))
    return slice(start, max(start, end))


def _store(container: Json, key: Json, value: Json) -> None:
    if isinstance(key, dict):
        if not isinstance(value, list):
            raise JqError("A slice of an array can only be assigned another array")
        container[_bounds(container, key)] = value
    elif isinstance(container, list):
        position = position_in(container, key)
        container.extend([None] * (position + 1 - len(container)))
        container[position] = value
    else:
        container[key] = value


def _remove(container: Json, key: Json) -> None:
    if isinstance(key, dict):
        del container[_bounds(container, key)]
    elif isinstance(container, list):
        del container[int(key)]
    else:
        del container[key]


def delete_paths(value: Json, paths: list[Json], env: Env) -> Json:
    weigh(paths, env)
    if not all(isinstance(path, list) for path in paths):
        raise JqError("Path must be specified as an array")
    draft = Draft(value)
    for path in sorted((_resolve_path(value, path) for path in paths), key=order, reverse=True):
        env.spend(len(path) + 1)
        draft.delete(path, env)
    return draft.root


def checked_path(path: Json) -> Path:
    if not isinstance(path, list):
        raise JqError("Path must be specified as an array")
    return path


def assign(node: Any, site: Site) -> Filter:
    """`=`, `|=` and the arithmetic updates."""
    operator, target, source = node[1], site.filter(node[2]), site.filter(node[3])
    if operator == "|=":
        return one(lambda value, env: update(value, target, source, env), source.cost + 2)

    def change(value: Json, given: Json, env: Env) -> Json:
        draft = Draft(value)
        for path, _ in target.paths(value, [], env):
            if operator == "=":
                made = given
            elif operator == "//=":
                current = draft.read(path, env)
                made = current if truthy(current) else given
            else:
                made = BINARY[operator[:-1]](draft.read(path, env), given, env)
            draft.write(path, made, env)
        return draft.root

    if source.direct is not None:
        given = source.direct
        return one(lambda value, env: change(value, given(value, env), env), source.cost + 2)

    def values(value: Json, env: Env) -> Iterator[Json]:
        for output in source.values(value, env):
            yield change(value, output, env)

    return Filter(values)


def update(value: Json, target: Filter, source: Filter, env: Env) -> Json:
    """`target |= source`: the first output replaces, no output deletes (all deletions last)."""
    draft = Draft(value)
    gone = []
    for path, _ in target.paths(value, [], env):
        made = source.first(draft.read(path, env), env, _ABSENT)
        if made is _ABSENT:
            gone.append(path)
        else:
            draft.write(path, made, env)
    return delete_paths(draft.root, gone, env) if gone else draft.root


def _identity(_node: Any, _site: Site) -> Paths:
    def paths(value: Json, path: Path, _env: Env) -> _Found:
        yield path, value

    return paths


def _field(node: Any, site: Site) -> Paths:
    source, name = site.filter(node[1]), node[2]

    def paths(value: Json, path: Path, env: Env) -> _Found:
        for place, item in source.paths(value, path, env):
            env.spend(1)
            yield [*place, name], field(item, name)

    return paths


def _index(node: Any, site: Site) -> Paths:
    source, keys = site.filter(node[1]), site.filter(node[2])

    def paths(value: Json, path: Path, env: Env) -> _Found:
        for place, item in source.paths(value, path, env):
            for key in keys.values(value, env):
                if not isinstance(key, str | dict) and not is_number(key):
                    raise JqError(f"Invalid path component: {type_name(key)}")
                env.spend(1)
                yield [*place, key], index(item, key, env)

    return paths


def _slice(node: Any, site: Site) -> Paths:
    source = site.filter(node[1])
    low, high = (site.filter(("const", None) if bound is None else bound) for bound in node[2:])

    def paths(value: Json, path: Path, env: Env) -> _Found:
        for place, item in source.paths(value, path, env):
            for start in low.values(value, env):
                for end in high.values(value, env):
                    env.spend(1)
                    yield [*place, {"start": start, "end": end}], cut(item, start, end, env)

    return paths


def _iterate(node: Any, site: Site) -> Paths:
    source = site.filter(node[1])

    def paths(value: Json, path: Path, env: Env) -> _Found:
        for place, item in source.paths(value, path, env):
            if not isinstance(item, list | dict):
                raise JqError(f"Cannot iterate over {type_name(item)} ({encode(item)[:24]})")
            for key, inner in enumerate(item) if isinstance(item, list) else item.items():
                env.spend(1 + len(place))
                yield [*place, key], inner

    return paths


def _pipe(node: Any, site: Site) -> Paths:
    before, after = site.filter(node[1]), site.filter(node[2])

    def paths(value: Json, path: Path, env: Env) -> _Found:
        for place, item in before.paths(value, path, env):
            env.spend(1)
            yield from after.paths(item, place, env)

    return paths


def _comma(node: Any, site: Site) -> Paths:
    parts = [site.filter(part) for part in node[1]]

    def paths(value: Json, path: Path, env: Env) -> _Found:
        for part in parts:
            env.spend(1)
            yield from part.paths(value, path, env)

    return paths


def _if(node: Any, site: Site) -> Paths:
    branches = [(site.filter(condition), site.filter(then)) for condition, then in node[1]]
    otherwise = site.filter(("identity",) if node[2] is None else node[2])

    def paths(value: Json, path: Path, env: Env, number: int = 0) -> _Found:
        if number == len(branches):
            yield from otherwise.paths(value, path, env)
            return
        condition, then = branches[number]
        for decision in condition.values(value, env):
            if truthy(decision):
                yield from then.paths(value, path, env)
            else:
                yield from paths(value, path, env, number + 1)

    return paths


def _alternative(node: Any, site: Site) -> Paths:
    left, right = site.filter(node[1]), site.filter(node[2])

    def paths(value: Json, path: Path, env: Env) -> _Found:
        found = False
        for place, item in left.paths(value, path, env):
            if truthy(item):
                found = True
                yield place, item
        if not found:
            yield from right.paths(value, path, env)

    return paths


def _try(node: Any, site: Site) -> Paths:
    body = site.filter(node[1])
    return lambda value, path, env: _until_error(body, value, path, env)


def _until_error(source: Filter, value: Json, path: Path, env: Env) -> _Found:
    found = source.paths(value, path, env)
    while True:
        try:
            item = next(found, None)
        except JqError:
            return
        if item is None:
            return
        yield item


def _as(node: Any, site: Site) -> Paths:
    source, body = site.filter(node[1]), site.filter(node[3])
    compiled, _, names = patterns(node[2], site)

    def paths(value: Json, path: Path, env: Env) -> _Found:
        for item in source.values(value, env):
            for bound in bindings(compiled, item, env, names):
                yield from body.paths(value, path, Env(bound, env))

    return paths


def _label(node: Any, site: Site) -> Paths:
    body, name = site.filter(node[2]), "*" + node[1]

    def paths(value: Json, path: Path, env: Env) -> _Found:
        token = object()
        env.spend(2)
        try:
            yield from body.paths(value, path, Env({name: token}, env))
        except JqBreak as jump:
            if jump.token is not token:
                raise

    return paths


def _break(node: Any, _site: Site) -> Paths:
    name = "*" + node[1]

    def paths(_value: Json, _path: Path, env: Env) -> _Found:
        raise JqBreak(env.lookup(name))
        yield

    return paths


PATH_NODES: dict[str, Callable[[Any, Site], Paths]] = {
    "identity": _identity,
    "field": _field,
    "index": _index,
    "slice": _slice,
    "iterate": _iterate,
    "pipe": _pipe,
    "comma": _comma,
    "if": _if,
    "alt": _alternative,
    "opt": _try,
    "try": _try,
    "as": _as,
    "label": _label,
    "break": _break,
}
