"""Builtins that take filters: FOLDS have one output, STREAMS any number, PATHS give places, DEFINED are written in jq.

Loops are loops here, not recursion: they cost fuel for each round and no depth.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from purejq.errors import JqError

from perdure.language.guard import regex
from perdure.language.guard.functions import add_all, array, firsts, from_entries, ordered, stream_of, to_entries
from perdure.language.guard.nodes import iterate
from perdure.language.guard.paths import Draft, Path, delete_paths, read
from perdure.language.guard.runtime import Env, Filter, combinations, out_of_fuel, weigh
from perdure.language.guard.values import describe, equal, is_number, made_key, to_text, truthy
from perdure.language.values import Json

_ABSENT = object()


def _map(value: Json, env: Env, body: Filter) -> Json:
    items = iterate(value)
    if body.direct is None:
        return [output for item in items for output in _rounds(body.values(item, env), env)]
    direct, cost, meter, made = body.direct, body.cost + 1, env.meter, []
    for item in items:
        meter.fuel -= cost
        if meter.fuel < 0:
            out_of_fuel()
        made.append(direct(item, env))
    return made


def _rounds(outputs: Iterator[Json], env: Env) -> Iterator[Json]:
    env.spend(1)
    for output in outputs:
        env.spend(1)
        yield output


def _map_values(value: Json, env: Env, body: Filter) -> Json:
    if isinstance(value, dict):
        pairs = ((key, body.first(item, env, _ABSENT)) for key, item in value.items())
        env.spend(len(value))
        return {key: item for key, item in pairs if item is not _ABSENT}
    items = (body.first(item, env, _ABSENT) for item in iterate(value))
    return [item for item in items if item is not _ABSENT]


def _with_entries(value: Json, env: Env, body: Filter) -> Json:
    return from_entries(_map(to_entries(value, env), env, body), env)


def _keys(items: list[Json], env: Env, key: Filter) -> list[Json]:
    if key.direct is None:
        return [list(_rounds(key.values(item, env), env)) for item in items]
    direct = key.direct
    env.spend((key.cost + 1) * len(items))
    return [direct(item, env) for item in items]


def _sorted(value: Json, env: Env, key: Filter) -> list[tuple[Any, Json]]:
    items = array(value, "sorted")
    return ordered(items, _keys(items, env, key), env)


def _sort_by(value: Json, env: Env, key: Filter) -> Json:
    return [item for _, item in _sorted(value, env, key)]


def _group_by(value: Json, env: Env, key: Filter) -> Json:
    groups: list[list[Json]] = []
    last: Any = None
    for found, item in _sorted(value, env, key):
        if groups and found == last:
            groups[-1].append(item)
        else:
            groups.append([item])
        last = found
    return groups


def _unique_by(value: Json, env: Env, key: Filter) -> Json:
    return firsts(_sorted(value, env, key))


def _min_by(value: Json, env: Env, key: Filter) -> Json:
    pairs = _sorted(value, env, key)
    return pairs[0][1] if pairs else None


def _max_by(value: Json, env: Env, key: Filter) -> Json:
    pairs = _sorted(value, env, key)
    return pairs[-1][1] if pairs else None


def _add(value: Json, env: Env, items: Filter) -> Json:
    return add_all(list(_rounds(items.values(value, env), env)), env)


def _any(value: Json, env: Env, *given: Filter) -> Json:
    return _decide(value, env, given, decisive=True)


def _all(value: Json, env: Env, *given: Filter) -> Json:
    return _decide(value, env, given, decisive=False)


def _decide(value: Json, env: Env, given: tuple[Filter, ...], *, decisive: bool) -> bool:
    """`any(generator; condition)`; without a generator the items, without a condition the outputs themselves."""
    items = given[0].values(value, env) if len(given) == 2 else iterate(value)
    for item in items:
        env.spend(1)
        outputs = given[-1].values(item, env) if given else (item,)
        for output in outputs:
            if truthy(output) is decisive:
                return decisive
    return not decisive


def _isempty(value: Json, env: Env, items: Filter) -> Json:
    return items.first(value, env, _ABSENT) is _ABSENT


def _isvalid(value: Json, env: Env, body: Filter) -> Json:
    try:
        body.first(value, env)
    except JqError:
        return False
    return True


def _del(value: Json, env: Env, target: Filter) -> Json:
    return delete_paths(value, [path for path, _ in target.paths(value, [], env)], env)


def _pick(value: Json, env: Env, target: Filter) -> Json:
    draft = Draft(None)
    for path, _ in target.paths(value, [], env):
        draft.write(path, read(value, path, env), env)
    return draft.root


def _is_in(value: Json, env: Env, *given: Filter) -> Json:
    """`IN(stream)` and `IN(source; stream)`."""
    sources = given[0].values(value, env) if len(given) == 2 else (value,)
    for source in sources:
        for item in given[-1].values(value, env):
            env.spend(1)
            if equal(source, item, env):
                return True
    return False


def _index_by(value: Json, env: Env, *given: Filter) -> Json:
    """`INDEX(stream; key)` and `INDEX(key)`: an object of the items by their keys."""
    items = given[0].values(value, env) if len(given) == 2 else iterate(value)
    made = {}
    for item in items:
        for key in given[-1].values(item, env):
            env.spend(2)
            made[made_key(to_text(key, env))] = item
    return made


def _walk(value: Json, env: Env, body: Filter) -> Iterator[Json]:
    weigh(value, env)
    yield from _walked(value, env, body)


def _walked(value: Json, env: Env, body: Filter) -> Iterator[Json]:
    env.spend(2)
    if isinstance(value, list):
        value = [output for item in value for output in _walked(item, env, body)]
    elif isinstance(value, dict):
        pairs = ((key, next(_walked(item, env, body), _ABSENT)) for key, item in value.items())
        value = {key: item for key, item in pairs if item is not _ABSENT}
    yield from body.values(value, env)


def _empty(_value: Json, _env: Env) -> Iterator[Json]:
    return iter(())


def _select(value: Json, env: Env, condition: Filter) -> Iterator[Json]:
    if condition.direct is not None:
        env.spend(condition.cost)
        if truthy(condition.direct(value, env)):
            yield value
        return
    for decision in condition.values(value, env):
        if truthy(decision):
            env.spend(1)
            yield value


def _range(value: Json, env: Env, *given: Filter) -> Iterator[Json]:
    for row in combinations(list(given), value, env):
        if not all(map(is_number, row)):
            raise JqError("Range bounds must be numeric")
        start, end, step = (0, *row, 1) if len(row) == 1 else (*row, 1)[:3]
        meter = env.meter
        while (start < end and step > 0) or (start > end and step < 0):
            meter.fuel -= 1
            if meter.fuel < 0:
                out_of_fuel()
            yield start
            start += step


def _recurse(value: Json, env: Env, *given: Filter) -> Iterator[Json]:
    """`recurse`, `recurse(f)`, `recurse(f; condition)`, in the order of the value, with our own stack."""
    yield value
    pending = [_children(value, env, given)]
    while pending:
        env.spend(2)
        item = next(pending[-1], _ABSENT)
        if item is _ABSENT:
            pending.pop()
        else:
            yield item
            env.spend(6)
            pending.append(_children(item, env, given))


def _children(value: Json, env: Env, given: tuple[Filter, ...]) -> Iterator[Json]:
    if not given:
        return iterate(value) if isinstance(value, list | dict) else iter(())
    if len(given) == 1:
        return given[0].values(value, env)
    return (item for item in given[0].values(value, env) for _ in _select(item, env, given[1]))


def _repeat(value: Json, env: Env, body: Filter) -> Iterator[Json]:
    """The outputs of the body on one input, again and again."""
    while True:
        env.spend(1)
        yield from body.values(value, env)


def _while(value: Json, env: Env, condition: Filter, step: Filter) -> Iterator[Json]:
    """`while(condition; step)`: outputs as long as the condition holds."""
    return _unfold(value, env, lambda item: _while_branch(item, env, condition, step))


def _while_branch(value: Json, env: Env, condition: Filter, step: Filter) -> Iterator[tuple[bool, Json]]:
    for decision in condition.values(value, env):
        if truthy(decision):
            yield True, value
            for item in step.values(value, env):
                yield False, item


def _until(value: Json, env: Env, condition: Filter, step: Filter) -> Iterator[Json]:
    if condition.direct is None or step.direct is None:
        yield from _unfold(value, env, lambda item: _until_branch(item, env, condition, step))
        return
    cost = condition.cost + step.cost + 1
    while not truthy(condition.direct(value, env)):
        env.spend(cost)
        value = step.direct(value, env)
    yield value


def _until_branch(value: Json, env: Env, condition: Filter, step: Filter) -> Iterator[tuple[bool, Json]]:
    for decision in condition.values(value, env):
        if truthy(decision):
            yield True, value
        else:
            for item in step.values(value, env):
                yield False, item


def _unfold(value: Json, env: Env, branch: Callable[[Json], Iterator[tuple[bool, Json]]]) -> Iterator[Json]:
    """Depth first without recursion: (True, output) goes out, (False, value) is taken further."""
    pending = [branch(value)]
    while pending:
        env.spend(2)
        item = next(pending[-1], None)
        if item is None:
            pending.pop()
        elif item[0]:
            yield item[1]
        else:
            env.spend(12)
            pending.append(branch(item[1]))


def _combinations(value: Json, env: Env, *given: Filter) -> Iterator[Json]:
    """`combinations` of an array of arrays, `combinations(n)` of an array with itself."""
    if not given:
        yield from _product([list(iterate(column)) for column in array(value, "combined")], env)
    for count in _counts("combinations", value, env, given[0]) if given else ():
        env.spend(int(min(count, 1e12)))
        yield from _product([list(iterate(value))] * int(count), env)


def _product(columns: list[list[Json]], env: Env) -> Iterator[Json]:
    env.spend(sum(map(len, columns)) + 1)
    for row in product(*columns):
        env.spend(len(row) + 1)
        yield list(row)


def _limit(value: Json, env: Env, count: Filter, items: Filter) -> Iterator[Json]:
    for limit in _counts("limit", value, env, count):
        taken = 0
        if limit > 0:
            for item in items.values(value, env):
                env.spend(1)
                yield item
                taken += 1
                if taken >= limit:
                    break


def _skip(value: Json, env: Env, count: Filter, items: Filter) -> Iterator[Json]:
    for limit in _counts("skip", value, env, count):
        for seen, item in enumerate(items.values(value, env), 1):
            env.spend(1)
            if seen > limit:
                yield item


def _nth(value: Json, env: Env, count: Filter, items: Filter) -> Iterator[Json]:
    for limit in _counts("nth", value, env, count):
        for seen, item in enumerate(items.values(value, env), 1):
            env.spend(1)
            if seen > limit:
                yield item
                break


def _counts(name: str, value: Json, env: Env, count: Filter) -> Iterator[Any]:
    for limit in count.values(value, env):
        if not is_number(limit):
            raise JqError(f"{name} requires a number, not {describe(limit)}")
        if limit < 0:
            raise JqError(f"{name} doesn't support a negative count")
        yield limit


def _first(value: Json, env: Env, items: Filter) -> Iterator[Json]:
    item = items.first(value, env, _ABSENT)
    if item is not _ABSENT:
        yield item


def _last(value: Json, env: Env, items: Filter) -> Iterator[Json]:
    last: Json = _ABSENT
    for item in items.values(value, env):
        env.spend(1)
        last = item
    if last is not _ABSENT:
        yield last


def _path(value: Json, env: Env, target: Filter) -> Iterator[Json]:
    for path, _ in target.paths(value, [], env):
        yield path


def _tostream(value: Json, env: Env) -> Iterator[Json]:
    return iter(stream_of(value, env))


def _fromstream(value: Json, env: Env, events: Filter) -> Iterator[Json]:
    draft = Draft(None)
    for event in events.values(value, env):
        if not isinstance(event, list) or not event or not isinstance(event[0], list):
            raise JqError("Invalid streaming format")
        path = event[0]
        if len(event) == 2:
            draft.write(path, event[1], env)
        if (len(event) == 2) is (not path) and len(path) <= 1:
            yield draft.root
            draft = Draft(None)


def _truncate_stream(value: Json, env: Env, events: Filter) -> Iterator[Json]:
    depth = value if type(value) is int else 1
    for event in events.values(None if type(value) is int else value, env):
        if not isinstance(event, list) or not event or not isinstance(event[0], list):
            raise JqError("Invalid streaming format")
        env.spend(len(event[0]) + 1)
        if len(event[0]) > depth:
            yield [event[0][depth:], *event[1:]]


def _select_paths(value: Json, path: Path, env: Env, condition: Filter) -> Iterator[tuple[Path, Json]]:
    for _ in _select(value, env, condition):
        yield path, value


def _recurse_paths(value: Json, path: Path, env: Env, *given: Filter) -> Iterator[tuple[Path, Json]]:
    yield path, value
    pending = [_child_paths(value, path, env, given)]
    while pending:
        env.spend(2)
        found = next(pending[-1], None)
        if found is None:
            pending.pop()
        else:
            yield found
            env.spend(12)
            pending.append(_child_paths(found[1], found[0], env, given))


def _child_paths(value: Json, path: Path, env: Env, given: tuple[Filter, ...]) -> Iterator[tuple[Path, Json]]:
    if not given:
        pairs = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
        for key, item in pairs:
            env.spend(len(path) + 1)
            yield [*path, key], item
        return
    for place, item in given[0].paths(value, path, env):
        for _ in _select(item, env, given[1]) if len(given) == 2 else (item,):
            yield place, item


def _first_path(value: Json, path: Path, env: Env, items: Filter) -> Iterator[tuple[Path, Json]]:
    for found in items.paths(value, path, env):
        yield found
        break


def _last_path(value: Json, path: Path, env: Env, items: Filter) -> Iterator[tuple[Path, Json]]:
    last = None
    for found in items.paths(value, path, env):
        env.spend(1)
        last = found
    if last is not None:
        yield last


def _limit_paths(value: Json, path: Path, env: Env, count: Filter, items: Filter) -> Iterator[tuple[Path, Json]]:
    for limit in _counts("limit", value, env, count):
        for number, found in enumerate(items.paths(value, path, env) if limit > 0 else (), 1):
            yield found
            if number >= limit:
                break


def _getpath_paths(value: Json, path: Path, env: Env, places: Filter) -> Iterator[tuple[Path, Json]]:
    for place in places.values(value, env):
        if not isinstance(place, list):
            raise JqError("Path must be specified as an array")
        yield [*path, *place], read(value, place, env)


FOLDS: dict[tuple[str, int], Callable[..., Json]] = {
    ("map", 1): _map,
    ("map_values", 1): _map_values,
    ("with_entries", 1): _with_entries,
    ("sort_by", 1): _sort_by,
    ("group_by", 1): _group_by,
    ("unique_by", 1): _unique_by,
    ("min_by", 1): _min_by,
    ("max_by", 1): _max_by,
    ("add", 1): _add,
    ("any", 0): _any,
    ("any", 1): _any,
    ("any", 2): _any,
    ("all", 0): _all,
    ("all", 1): _all,
    ("all", 2): _all,
    ("isempty", 1): _isempty,
    ("isvalid", 1): _isvalid,
    ("del", 1): _del,
    ("pick", 1): _pick,
    ("IN", 1): _is_in,
    ("IN", 2): _is_in,
    ("INDEX", 1): _index_by,
    ("INDEX", 2): _index_by,
}
"""(name, number of arguments) -> function(input, env, filters) giving one value."""

STREAMS: dict[tuple[str, int], Callable[..., Iterator[Json]]] = {
    ("empty", 0): _empty,
    ("select", 1): _select,
    ("range", 1): _range,
    ("range", 2): _range,
    ("range", 3): _range,
    ("recurse", 0): _recurse,
    ("recurse", 1): _recurse,
    ("recurse", 2): _recurse,
    ("repeat", 1): _repeat,
    ("while", 2): _while,
    ("until", 2): _until,
    ("combinations", 0): _combinations,
    ("combinations", 1): _combinations,
    ("limit", 2): _limit,
    ("skip", 2): _skip,
    ("nth", 2): _nth,
    ("first", 1): _first,
    ("last", 1): _last,
    ("walk", 1): _walk,
    ("path", 1): _path,
    ("tostream", 0): _tostream,
    ("fromstream", 1): _fromstream,
    ("truncate_stream", 1): _truncate_stream,
    ("match", 1): regex.match,
    ("match", 2): regex.match,
    ("capture", 1): regex.capture,
    ("capture", 2): regex.capture,
    ("scan", 1): regex.scan,
    ("scan", 2): regex.scan,
    ("splits", 1): regex.splits,
    ("splits", 2): regex.splits,
    ("sub", 2): regex.sub,
    ("sub", 3): regex.sub,
    ("gsub", 2): regex.gsub,
    ("gsub", 3): regex.gsub,
}
"""(name, number of arguments) -> function(input, env, filters) giving any number of values."""

PATHS: dict[tuple[str, int], Callable[..., Iterator[tuple[Path, Json]]]] = {
    ("select", 1): _select_paths,
    ("recurse", 0): _recurse_paths,
    ("recurse", 1): _recurse_paths,
    ("recurse", 2): _recurse_paths,
    ("first", 1): _first_path,
    ("last", 1): _last_path,
    ("limit", 2): _limit_paths,
    ("getpath", 1): _getpath_paths,
}
"""Builtins whose outputs are places in their input."""

_DEFINITIONS = """
values: select(. != null)
nulls: select(. == null)
booleans: select(type == "boolean")
numbers: select(type == "number")
strings: select(type == "string")
arrays: select(type == "array")
objects: select(type == "object")
iterables: select(type == "array" or type == "object")
scalars: select(type != "array" and type != "object")
first: .[0]
last: .[-1]
nth($n): .[$n]
paths: path(..) | select(length > 0)
paths(f): . as $dot | path(..) | select(length > 0) | select(. as $p | $dot | getpath($p) | f)
leaf_paths: paths(type != "array" and type != "object")
ascii: [.] | implode
todate: strftime("%Y-%m-%dT%H:%M:%SZ")
fromdate: strptime("%Y-%m-%dT%H:%M:%SZ") | mktime
date: strftime("%Y-%m-%dT%H:%M:%SZ")
todateiso8601: strftime("%Y-%m-%dT%H:%M:%SZ")
fromdateiso8601: strptime("%Y-%m-%dT%H:%M:%SZ") | mktime
dateadd($u; $n): . + $n
datesub($u; $n): . - $n
JOIN($idx; f): [.[] | [., $idx[f]]]
JOIN($idx; s; f): s | [., $idx[f]]
JOIN($idx; s; f; g): s | [., $idx[f]] | g
"""


def _definitions() -> dict[tuple[str, int], tuple[list[str], str]]:
    found = {}
    for line in _DEFINITIONS.strip().splitlines():
        head, _, body = line.partition(": ")
        name, _, inner = head.partition("(")
        parameters = inner.rstrip(")").split("; ") if inner else []
        found[(name, len(parameters))] = (parameters, body)
    return found


DEFINED = _definitions()
"""(name, number of arguments) -> parameters and jq source; what these call, they call from the tables above."""
