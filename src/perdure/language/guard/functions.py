"""Builtins that make one value from their input and the values of their arguments: the table FUNCTIONS.

Simple ones are purejq's own, called after the input is weighed; those that were quadratic, unbounded or dependent on
the machine are written anew.
"""

from collections.abc import Callable
from math import atan2
from typing import Any

import msgspec
from purejq.builtins import PY_BUILTINS, _nesting_depth
from purejq.errors import JqError
from purejq.ops import type_name

from perdure.language.guard import dates, regex
from perdure.language.guard.limits import LIMITS
from perdure.language.guard.paths import Draft, checked_path, delete_paths, read
from perdure.language.guard.runtime import Env, number, weigh
from perdure.language.guard.values import (
    add,
    contains,
    describe,
    encode,
    indices,
    is_number,
    made_key,
    order,
    split,
    to_text,
)
from perdure.language.values import Json

Function = Callable[..., Json]

_NATIVE = (
    "floor ceil round trunc fabs sqrt exp exp2 exp10 log log2 log10 sin cos tan asin acos atan sinh cosh tanh asinh "
    "acosh atanh cbrt significand logb gamma lgamma tgamma nearbyint isinfinite isnan isnormal nan infinite not type "
    "length utf8bytelength toboolean ascii_downcase ascii_upcase trim ltrim rtrim explode implode keys keys_unsorted "
    "reverse have_decnum have_literal_numbers"
).split()


def _native(name: str) -> Function:
    run = PY_BUILTINS[(name, 0)]

    def function(value: Json, env: Env) -> Json:
        if value is not None and type(value) is not int:
            _charge(value, env)
        try:
            return number(next(run(value, None)))
        except (ValueError, OverflowError, ZeroDivisionError):
            raise JqError(f"{name} has no value for {describe(value)}") from None

    return function


def _charge(value: Json, env: Env) -> None:
    """These touch one level of their input, and copy it at most once."""
    if isinstance(value, str | list | dict):
        env.spend(len(value) >> 2)


def _error(value: Json, _env: Env, *given: Json) -> Json:
    raise JqError(given[0] if given else value)


def _tostring(value: Json, env: Env) -> Json:
    return to_text(value, env)


def _tojson(value: Json, env: Env) -> Json:
    weigh(value, env)
    return encode(value)


def _tonumber(value: Json, env: Env) -> Json:
    if isinstance(value, str) and len(value) > LIMITS.bits:
        raise JqError("The text is too long for a number")
    return _parse_number(value, env)


_parse_number = _native("tonumber")


def _fromjson(value: Json, env: Env) -> Json:
    if not isinstance(value, str):
        raise JqError(f"{describe(value)} cannot be parsed as JSON")
    env.spend(len(value) >> 4)
    if value.count("[") + value.count("{") > LIMITS.nesting:
        env.spend(len(value) >> 3)
        if _nesting_depth(value) > LIMITS.nesting:
            raise JqError("Exceeds depth limit for parsing")
    try:
        parsed = msgspec.json.decode(value.encode())
    except (ValueError, msgspec.DecodeError) as error:
        raise JqError(f"{describe(value)} cannot be parsed as JSON: {error}") from None
    if "perdure." in value or "\\u" in value:
        _check_keys(parsed)
    weigh(parsed, env)
    return parsed


def _check_keys(value: Json) -> None:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            for key in item:
                made_key(key)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _has(value: Json, _env: Env, key: Json) -> Json:
    if isinstance(value, dict) and isinstance(key, str):
        return key in value
    if isinstance(value, list) and is_number(key):
        return bool(0 <= key < len(value))
    if value is None and (isinstance(key, str) or is_number(key)):
        return False
    raise JqError(f"Cannot check whether {type_name(value)} has a key of type {type_name(key)}")


def _texts(name: str, value: Json, other: Json) -> None:
    if not isinstance(value, str) or not isinstance(other, str):
        raise JqError(f"{name}() requires string inputs")


def _startswith(value: Json, _env: Env, start: Json) -> Json:
    _texts("startswith", value, start)
    return value.startswith(start)


def _endswith(value: Json, _env: Env, end: Json) -> Json:
    _texts("endswith", value, end)
    return value.endswith(end)


def _ltrimstr(value: Json, env: Env, start: Json) -> Json:
    _texts("startswith", value, start)
    env.spend(len(value) >> 6)
    return value.removeprefix(start)


def _rtrimstr(value: Json, env: Env, end: Json) -> Json:
    _texts("endswith", value, end)
    env.spend(len(value) >> 6)
    return value.removesuffix(end)


def _trimstr(value: Json, env: Env, both: Json) -> Json:
    return _rtrimstr(_ltrimstr(value, env, both), env, both)


def _split(value: Json, env: Env, separator: Json) -> Json:
    if not isinstance(value, str) or not isinstance(separator, str):
        raise JqError("split input and separator must be strings")
    return split(value, separator, env)


def _join(value: Json, env: Env, separator: Json) -> Json:
    items = array(value, "joined")
    if not isinstance(separator, str):
        raise JqError("join separator must be a string")
    texts = []
    for item in items:
        if isinstance(item, list | dict):
            raise JqError(f"{describe(separator)} and {describe(item)} cannot be added")
        texts.append("" if item is None else item if isinstance(item, str) else encode(item))
    env.spend(len(texts) + (sum(map(len, texts)) + len(separator) * len(texts) >> 5))
    return separator.join(texts)


def array(value: Json, what: str) -> list[Json]:
    if not isinstance(value, list):
        raise JqError(f"{describe(value)} cannot be {what}")
    return value


def _add(value: Json, env: Env) -> Json:
    if not isinstance(value, list | dict):
        raise JqError(f"Cannot iterate over {describe(value)}")
    items = value if isinstance(value, list) else list(value.values())
    return add_all(items, env)


def add_all(items: list[Json], env: Env) -> Json:
    """The sum of many values, in linear time where all are of one kind."""
    env.spend(len(items) + 1)
    kinds = {type(item) for item in items}
    if kinds == {str}:
        env.spend(sum(map(len, items)) >> 5)
        return "".join(items)
    if kinds == {list}:
        env.spend(sum(map(len, items)) >> 3)
        return [inner for item in items for inner in item]
    if kinds == {dict}:
        env.spend(sum(map(len, items)) >> 2)
        merged: dict[str, Json] = {}
        for item in items:
            merged.update(item)
        return merged
    total: Json = None
    for item in items:
        total = add(total, item, env)
    return total


def ordered(items: list[Json], keys: list[Json], env: Env) -> list[tuple[Any, Json]]:
    """(order, item) sorted by the keys, stable."""
    env.spend(weigh(keys, env) + len(items) * len(items).bit_length() // 16)
    return sorted(((order(key), item) for key, item in zip(keys, items, strict=True)), key=lambda pair: pair[0])


def _sort(value: Json, env: Env) -> Json:
    items = array(value, "sorted")
    return [item for _, item in ordered(items, items, env)]


def _unique(value: Json, env: Env) -> Json:
    items = array(value, "sorted")
    return firsts(ordered(items, items, env))


def firsts(pairs: list[tuple[Any, Json]]) -> list[Json]:
    return [item for at, (key, item) in enumerate(pairs) if not at or pairs[at - 1][0] != key]


def _min(value: Json, env: Env) -> Json:
    items = array(value, "examined")
    weigh(items, env)
    return min(items, key=order, default=None)


def _max(value: Json, env: Env) -> Json:
    items = array(value, "examined")
    weigh(items, env)
    return max(reversed(items), key=order, default=None)


def _flatten(value: Json, env: Env, *given: Json) -> Json:
    depth = given[0] if given else LIMITS.nesting
    if not is_number(depth) or depth < 0:
        raise JqError("flatten depth must not be negative")
    items = list(value.values()) if isinstance(value, dict) else array(value, "flattened")
    weigh(items, env)
    return _flat(items, depth)


def _flat(items: list[Json], depth: float) -> list[Json]:
    found: list[Json] = []
    for item in items:
        if isinstance(item, list) and depth > 0:
            found.extend(_flat(item, depth - 1))
        else:
            found.append(item)
    return found


def _transpose(value: Json, env: Env) -> Json:
    rows = [array(row, "transposed") for row in array(value, "transposed")]
    width = max(map(len, rows), default=0)
    env.spend(width * len(rows) + 1)
    return [[row[at] if at < len(row) else None for row in rows] for at in range(width)]


def to_entries(value: Json, env: Env) -> Json:
    if not isinstance(value, list | dict):
        raise JqError(f"{describe(value)} has no keys")
    env.spend(len(value) + 1)
    pairs = enumerate(value) if isinstance(value, list) else value.items()
    return [{"key": key, "value": item} for key, item in pairs]


def from_entries(value: Json, env: Env) -> Json:
    items = list(value.values()) if isinstance(value, dict) else array(value, "made an object")
    env.spend(len(items) * 2 + 1)
    made = {}
    for item in items:
        if not isinstance(item, dict):
            raise JqError(f'Cannot index {type_name(item)} with "key"')
        made[made_key(_entry_key(item, env))] = _entry(item, ("value", "v", "Value", "V"))
    return made


def _entry_key(item: dict[str, Json], env: Env) -> str:
    for name in ("key", "k", "name", "Name", "Key", "K"):
        found = item.get(name)
        if found is not None and found is not False:
            return to_text(found, env)
    return to_text(item.get("key"), env)


def _entry(item: dict[str, Json], names: tuple[str, ...]) -> Json:
    return next((item[name] for name in names if name in item), None)


def _getpath(value: Json, env: Env, path: Json) -> Json:
    return read(value, checked_path(path), env)


def _setpath(value: Json, env: Env, path: Json, item: Json) -> Json:
    draft = Draft(value)
    draft.write(checked_path(path), item, env)
    return draft.root


def _delpaths(value: Json, env: Env, paths: Json) -> Json:
    if not isinstance(paths, list):
        raise JqError("Paths must be specified as an array")
    return delete_paths(value, paths, env)


def _rindex(value: Json, env: Env, wanted: Json) -> Json:
    found = indices(value, wanted, env)
    return found[-1] if found else None


def _index(value: Json, env: Env, wanted: Json) -> Json:
    found = indices(value, wanted, env)
    return found[0] if found else None


def _inside(value: Json, env: Env, whole: Json) -> Json:
    return contains(whole, value, env)


def _in(value: Json, env: Env, whole: Json) -> Json:
    return _has(whole, env, value)


def _bsearch(value: Json, env: Env, wanted: Json) -> Json:
    items = array(value, "searched from")
    weigh(items, env)
    weigh(wanted, env)
    key = order(wanted)
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        found = order(items[middle])
        if found == key:
            return middle
        low, high = (middle + 1, high) if found < key else (low, middle)
    return -1 - low


def _pow(_value: Json, _env: Env, base: Json, exponent: Json) -> Json:
    for operand in (base, exponent):
        if not is_number(operand):
            raise JqError(f"{describe(operand)} number required")
    if type(base) is int and type(exponent) is int and 0 <= exponent <= LIMITS.bits:
        if base.bit_length() * exponent <= LIMITS.bits:
            return base**exponent
    try:
        result = float(base) ** float(exponent)
    except (OverflowError, ZeroDivisionError):
        raise JqError("The number is too large") from None
    return float("nan") if isinstance(result, complex) else result


def _atan2(_value: Json, _env: Env, y: Json, x: Json) -> Json:
    if not is_number(y) or not is_number(x):
        raise JqError("atan2 requires numbers")
    return atan2(y, x)


def _abs(value: Json, _env: Env) -> Json:
    return abs(value) if is_number(value) else value


def _toarray(value: Json, _env: Env) -> Json:
    return value if isinstance(value, list) else [value]


def stream_of(value: Json, env: Env) -> list[Json]:
    """The events of `tostream`, all at once."""
    weigh(value, env)
    return _events(value, [], env)


def _events(value: Json, path: list[Json], env: Env) -> list[Json]:
    env.spend(len(path) + 1)
    if not isinstance(value, list | dict) or not value:
        return [[path, value]]
    found: list[Json] = []
    key: Json = None
    for key, item in enumerate(value) if isinstance(value, list) else value.items():
        found.extend(_events(item, [*path, key], env))
    found.append([[*path, key]])
    return found


FUNCTIONS: dict[tuple[str, int], Function] = {
    **{(name, 0): _native(name) for name in _NATIVE},
    ("error", 0): _error,
    ("error", 1): _error,
    ("tostring", 0): _tostring,
    ("tojson", 0): _tojson,
    ("tonumber", 0): _tonumber,
    ("fromjson", 0): _fromjson,
    ("has", 1): _has,
    ("in", 1): _in,
    ("contains", 1): lambda value, env, part: contains(value, part, env),
    ("inside", 1): _inside,
    ("indices", 1): lambda value, env, wanted: indices(value, wanted, env),
    ("index", 1): _index,
    ("rindex", 1): _rindex,
    ("startswith", 1): _startswith,
    ("endswith", 1): _endswith,
    ("ltrimstr", 1): _ltrimstr,
    ("rtrimstr", 1): _rtrimstr,
    ("trimstr", 1): _trimstr,
    ("split", 1): _split,
    ("join", 1): _join,
    ("add", 0): _add,
    ("sort", 0): _sort,
    ("unique", 0): _unique,
    ("min", 0): _min,
    ("max", 0): _max,
    ("flatten", 0): _flatten,
    ("flatten", 1): _flatten,
    ("transpose", 0): _transpose,
    ("to_entries", 0): to_entries,
    ("from_entries", 0): from_entries,
    ("getpath", 1): _getpath,
    ("setpath", 2): _setpath,
    ("delpaths", 1): _delpaths,
    ("bsearch", 1): _bsearch,
    ("pow", 2): _pow,
    ("atan2", 2): _atan2,
    ("abs", 0): _abs,
    ("toarray", 0): _toarray,
    ("gmtime", 0): dates.gmtime,
    ("mktime", 0): dates.mktime,
    ("strftime", 1): dates.strftime,
    ("strptime", 1): dates.strptime,
    ("test", 1): regex.matches,
    ("test", 2): regex.matches,
    ("split", 2): regex.split,
}
"""(name, number of arguments) -> function(input, env, argument values)."""
