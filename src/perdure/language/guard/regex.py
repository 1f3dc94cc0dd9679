"""Regular expressions of jq on RE2: linear time, whatever the pattern.

RE2 has no look-around and no back-references; a pattern that uses them is an expression fault with that hint.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import re2
from purejq.errors import JqError

from perdure.language.guard.faults import ExpressionFault
from perdure.language.guard.limits import LIMITS
from perdure.language.guard.runtime import Env, Filter
from perdure.language.guard.values import describe
from perdure.language.values import Json

_FLAGS = frozenset("gnisl")


@lru_cache(maxsize=512)
def _compiled(pattern: str, flags: str) -> Any:
    if len(pattern) > LIMITS.pattern:
        raise ExpressionFault(f"The regular expression is longer than {LIMITS.pattern:,} characters.")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = LIMITS.memory
    options.case_sensitive = "i" not in flags
    options.dot_nl = "s" in flags
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        text = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise ExpressionFault(
            f"The regular expression {pattern[:80]!r} cannot be used: {text}.",
            hint="It is RE2's syntax: no look-around, no back-references.",
        ) from None
    if compiled.programsize > LIMITS.program:
        raise ExpressionFault("The regular expression is too large.", hint="Use smaller counts in { }.")
    return compiled


def _expression(value: Json, pattern: Json, flags: Json) -> tuple[Any, str]:
    if not isinstance(value, str):
        raise JqError(f"{describe(value)} cannot be matched, as it is not a string")
    if not isinstance(pattern, str):
        raise JqError(f"{describe(pattern)} cannot be matched, as it is not a string")
    flags = "" if flags is None else flags
    if not isinstance(flags, str):
        raise JqError(f"{describe(flags)} is not a string")
    if not _FLAGS.issuperset(flags):
        raise JqError(f"{flags[:20]} is not a valid modifier string (g, i, s, n, l)")
    return _compiled(pattern, flags.replace("g", "")), flags


def matches(value: Json, env: Env, pattern: Json, flags: Json = None) -> Json:
    if isinstance(pattern, list):
        pattern, flags = (*pattern, None)[:2] if pattern else (None, None)
    return next(_found(value, env, pattern, flags, every=False), None) is not None


def _found(value: Json, env: Env, pattern: Json, flags: Json, *, every: bool) -> Iterator[Any]:
    """The first match or, asked by `g` or `every`, all.

    The first search pays for the slowest way of RE2 through the text (7 ns a byte and instruction, measured), further
    ones for the usual way.
    """
    expression, flags = _expression(value, pattern, flags)
    env.spend(1 + len(value) * expression.programsize // 128)
    for found in expression.finditer(value):
        if "n" not in flags or found.end() > found.start():
            yield found
        if not every and "g" not in flags:
            return
        env.spend(4 + (len(value) - found.end()) * expression.programsize // 4096)


def _arguments(value: Json, env: Env, pattern: Filter, flags: Filter | None) -> Iterator[tuple[Json, Json]]:
    for given in pattern.values(value, env):
        if isinstance(given, list):
            yield (*given, None, None)[:2]
        elif flags is None:
            yield given, None
        else:
            for flag in flags.values(value, env):
                yield given, flag


def match(value: Json, env: Env, pattern: Filter, flags: Filter | None = None) -> Iterator[Json]:
    for given, flag in _arguments(value, env, pattern, flags):
        for found in _found(value, env, given, flag, every=False):
            yield _match(found)


def _match(found: Any) -> Json:
    names = {number: name for name, number in found.re.groupindex.items()}
    captures = []
    for number in range(1, found.re.groups + 1):
        start, end = found.span(number)
        captures.append(
            {"offset": start, "length": end - start, "string": found.group(number), "name": names.get(number)}
        )
    start, end = found.span()
    return {"offset": start, "length": end - start, "string": found.group(), "captures": captures}


def _captured(found: Any) -> Json:
    return {name: found.group(number) for name, number in found.re.groupindex.items()}


def capture(value: Json, env: Env, pattern: Filter, flags: Filter | None = None) -> Iterator[Json]:
    for given, flag in _arguments(value, env, pattern, flags):
        for found in _found(value, env, given, flag, every=False):
            yield _captured(found)


def scan(value: Json, env: Env, pattern: Filter, flags: Filter | None = None) -> Iterator[Json]:
    for given, flag in _arguments(value, env, pattern, flags):
        for found in _found(value, env, given, flag, every=True):
            yield list(found.groups()) if found.re.groups else found.group()


def split(value: Json, env: Env, pattern: Json, flags: Json) -> list[str]:
    parts = []
    last = 0
    for found in _found(value, env, pattern, flags, every=True):
        parts.append(value[last : found.start()])
        last = found.end()
    parts.append(value[last:])
    return parts


def splits(value: Json, env: Env, pattern: Filter, flags: Filter | None = None) -> Iterator[Json]:
    for given, flag in _arguments(value, env, pattern, flags):
        yield from split(value, env, given, flag)


def sub(value: Json, env: Env, pattern: Filter, new: Filter, flags: Filter | None = None) -> Iterator[Json]:
    yield from _replaced(value, env, pattern, new, flags, every=False)


def gsub(value: Json, env: Env, pattern: Filter, new: Filter, flags: Filter | None = None) -> Iterator[Json]:
    yield from _replaced(value, env, pattern, new, flags, every=True)


def _replaced(
    value: Json, env: Env, pattern: Filter, new: Filter, flags: Filter | None, *, every: bool
) -> Iterator[Json]:
    """One text for each combination of the replacement's outputs; nearly always there is one."""
    for given, flag in _arguments(value, env, pattern, flags):
        texts: list[list[str]] = [[]]
        last = 0
        for found in _found(value, env, given, flag, every=every):
            between = value[last : found.start()]
            last = found.end()
            news = [_text(item) for item in new.values(_captured(found), env)]
            env.spend(len(texts) * len(news) + sum(map(len, news)) // 32)
            if len(news) == 1:
                for text in texts:
                    text += (between, news[0])
            else:
                env.spend(sum(map(len, texts)) * len(news))
                texts = [[*text, between, item] for text in texts for item in news]
        for text in texts:
            whole = "".join(text) + value[last:]
            env.spend(len(whole) >> 5)
            yield whole


def _text(item: Json) -> str:
    if not isinstance(item, str):
        raise JqError(f"{describe(item)} cannot be used as a replacement")
    return item
