"""Operations on values: arithmetic, order, text, indexing. Each spends fuel by the size of what it touches.

The meaning is purejq's `ops`; what is redone here is what was unbounded, quadratic or recursive there.
"""

from collections.abc import Callable
from json.encoder import encode_basestring
from math import isnan
from typing import Any

from purejq import ops
from purejq.encoder import format_number
from purejq.errors import JqError

from perdure.language.guard.faults import ExpressionFault
from perdure.language.guard.limits import LIMITS
from perdure.language.guard.runtime import Env, number, weigh
from perdure.language.guard.secrets import RESERVED
from perdure.language.values import Json

truthy: Callable[[Json], bool] = ops.truthy


def describe(value: Json) -> str:
    """Kind and beginning of a value, for messages; never walks it as a whole."""
    kind = str(ops.type_name(value))
    if isinstance(value, list | dict):
        return f"{kind} ({len(value)} items)"
    text = encode(value[:12] if isinstance(value, str) else value)
    return f"{kind} ({text[:24]}{'…' if isinstance(value, str) and len(value) > 12 else ''})"


def is_number(value: Json) -> bool:
    return type(value) is int or type(value) is float


def add(left: Json, right: Json, env: Env) -> Json:
    kind = type(left)
    if kind is type(right):
        if kind is int:
            return number(left + right)
        if kind is str:
            env.spend((len(left) + len(right)) >> 5)
            return left + right
        if kind is list:
            env.spend((len(left) + len(right)) >> 3)
            return left + right
        if kind is dict:
            env.spend((len(left) + len(right)) >> 2)
            return {**left, **right}
    if left is None:
        return right
    if right is None:
        return left
    if is_number(left) and is_number(right):
        return left + right
    raise JqError(f"{describe(left)} and {describe(right)} cannot be added")


def subtract(left: Json, right: Json, env: Env) -> Json:
    if is_number(left) and is_number(right):
        return number(left - right)
    if isinstance(left, list) and isinstance(right, list):
        weigh(left, env)
        weigh(right, env)
        gone = [order(item) for item in right]
        env.spend(len(left) * len(gone) >> 4)
        return [item for item in left if order(item) not in gone]
    raise JqError(f"{describe(left)} and {describe(right)} cannot be subtracted")


def multiply(left: Json, right: Json, env: Env) -> Json:
    if is_number(left) and is_number(right):
        return number(left * right)
    if isinstance(left, dict) and isinstance(right, dict):
        weigh(left, env)
        weigh(right, env)
        return ops.mul_values(left, right)
    text, times = (left, right) if isinstance(left, str) else (right, left)
    if isinstance(text, str) and is_number(times):
        if times > 0:
            env.spend(int(min(len(text) * times, 1e12)) >> 5)
        return ops.mul_values(text, times)
    raise JqError(f"{describe(left)} and {describe(right)} cannot be multiplied")


def divide(left: Json, right: Json, env: Env) -> Json:
    if is_number(left) and is_number(right):
        if right == 0:
            raise JqError(f"{describe(left)} and {describe(right)} cannot be divided because the divisor is zero")
        return ops.div_values(left, right)
    if isinstance(left, str) and isinstance(right, str):
        return split(left, right, env)
    raise JqError(f"{describe(left)} and {describe(right)} cannot be divided")


def modulo(left: Json, right: Json, env: Env) -> Json:
    if is_number(left) and is_number(right):
        return ops.mod_values(left, right)
    raise JqError(f"{describe(left)} and {describe(right)} cannot be divided")


def negate(value: Json) -> Json:
    if is_number(value):
        return -value
    raise JqError(f"{describe(value)} cannot be negated")


def split(text: str, separator: str, env: Env) -> list[str]:
    """`"a,b" / ","`; an empty separator gives the characters, an empty text no part."""
    env.spend(len(text) >> (6 if separator else 2))
    parts = (text.split(separator) if separator else list(text)) if text else []
    env.spend(len(parts) >> 2)
    return parts


def order(value: Json) -> tuple[Any, ...]:
    """A key that Python compares as jq orders values: null, booleans, numbers, texts, arrays, objects.

    Recurses: weigh the value before.
    """
    kind = type(value)
    if kind is str:
        return (4, value)
    if kind is int:
        return (3, 1, value)
    if kind is float:
        return (3, 0, 0) if isnan(value) else (3, 1, value)
    if value is None:
        return (0,)
    if kind is bool:
        return (2,) if value else (1,)
    if kind is list:
        return (5, [order(item) for item in value])
    keys = sorted(value)
    return (6, keys, [order(value[key]) for key in keys])


def equal(left: Json, right: Json, env: Env) -> bool:
    kind = type(left)
    if kind is type(right) and kind not in (list, dict):
        return bool(left == right)
    if is_number(left) and is_number(right):
        return bool(left == right)
    if kind is not type(right):
        return False
    weigh(left, env)
    weigh(right, env)
    return order(left) == order(right)


def unequal(left: Json, right: Json, env: Env) -> bool:
    return not equal(left, right, env)


def less(left: Json, right: Json, env: Env) -> bool:
    kind = type(left)
    if kind is type(right) and (kind is int or kind is str):
        return bool(left < right)
    weigh(left, env)
    weigh(right, env)
    return order(left) < order(right)


def more(left: Json, right: Json, env: Env) -> bool:
    return less(right, left, env)


def at_most(left: Json, right: Json, env: Env) -> bool:
    return not less(right, left, env)


def at_least(left: Json, right: Json, env: Env) -> bool:
    return not less(left, right, env)


BINARY = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": modulo,
    "==": equal,
    "!=": unequal,
    "<": less,
    "<=": at_most,
    ">": more,
    ">=": at_least,
}


def field(value: Json, name: str) -> Json:
    if type(value) is dict:
        return value.get(name)
    if value is None:
        return None
    raise JqError(f"Cannot index {ops.type_name(value)} with {encode(name[:40])}")


def index(value: Json, key: Json, env: Env) -> Json:
    if type(value) is dict and type(key) is str:
        return value.get(key)
    if type(value) is list and type(key) is int:
        position = key + len(value) if key < 0 else key
        return value[position] if 0 <= position < len(value) else None
    if isinstance(value, list) and isinstance(key, list):
        return indices(value, key, env)
    if isinstance(key, dict) and "start" in key:
        return cut(value, key["start"], key.get("end"), env)
    if value is not None and (isinstance(key, list | dict) or not isinstance(value, list | dict)):
        raise JqError(f"Cannot index {ops.type_name(value)} with {describe(key)}")
    return ops.index_value(value, key)


def cut(value: Json, start: Json, end: Json, env: Env) -> Json:
    for bound in (start, end):
        if bound is not None and not is_number(bound):
            raise JqError("Start and end indices of a slice must be numbers")
    part = ops.slice_value(value, start, end)
    env.spend(len(part) >> 3 if part else 0)
    return part


def indices(value: Json, wanted: Json, env: Env) -> Json:
    weigh(value, env)
    weigh(wanted, env)
    if value is None:
        return None
    if isinstance(value, str) and isinstance(wanted, str):
        return _text_indices(value, wanted, env)
    if not isinstance(value, list):
        raise JqError(f"Cannot search {describe(value)} for {describe(wanted)}")
    keys = [order(item) for item in value]
    if not isinstance(wanted, list):
        key = order(wanted)
        return [position for position, item in enumerate(keys) if item == key]
    if not wanted:
        return None
    run = [order(item) for item in wanted]
    env.spend(len(keys) * len(run) >> 3)
    return [at for at in range(len(keys) - len(run) + 1) if keys[at : at + len(run)] == run]


def _text_indices(text: str, wanted: str, env: Env) -> Json:
    if not wanted:
        return None
    found = []
    position = text.find(wanted)
    while position >= 0:
        env.spend(1)
        found.append(position)
        position = text.find(wanted, position + 1)
    return found


def contains(value: Json, part: Json, env: Env) -> bool:
    if ops.type_name(value) != ops.type_name(part):
        raise JqError(f"{describe(value)} and {describe(part)} cannot have their containment checked")
    env.spend(weigh(value, env) * weigh(part, env) >> 3)
    return bool(ops.contains_value(value, part))


def encode(value: Json) -> str:
    """JSON text as jq writes it. Recurses: weigh arrays and objects before."""
    if isinstance(value, str):
        return encode_basestring(value).replace("\x7f", "\\u007f")
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(format_number(value))
    if isinstance(value, list):
        return "[" + ",".join(map(encode, value)) + "]"
    return "{" + ",".join([f"{encode(key)}:{encode(item)}" for key, item in value.items()]) + "}"


def to_text(value: Json, env: Env) -> str:
    """A text as it is, anything else as JSON."""
    if type(value) is str:
        return value
    weigh(value, env)
    return encode(value)


def made_key(key: Json) -> str:
    """A key that an expression computes: a text, and not one of a handle's (language.md 5.5)."""
    if not isinstance(key, str):
        raise JqError(f"Object keys must be strings, not {ops.type_name(key)}")
    if key.startswith(RESERVED):
        raise ExpressionFault(f"Keys that begin with {RESERVED} are reserved.")
    return key


def position_in(value: list[Json], key: Json) -> int:
    """An array index for writing, negative ones from the end."""
    if not is_number(key) or isnan(key):
        raise JqError(f"Cannot index array with {describe(key)}")
    position = int(key // 1)
    if position < 0:
        position += len(value)
    if position < 0:
        raise JqError("Out of bounds negative array index")
    if position > LIMITS.output:
        raise JqError("Array index too large")
    return position
