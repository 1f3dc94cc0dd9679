"""The function table: every effect that a document can call, by name and version. `wiring/calls.py` holds the literal list."""

import difflib
import functools
from collections.abc import Callable, Iterable
from typing import Any

from perdure.errors import Conflict, NotFound
from perdure.ports.function import Function


class Table:
    """Functions by name and version; also the default catalog that a document's check looks into.

    They are asked for at the first question: a document that calls nothing does not have them built.
    """

    def __init__(self, functions: Iterable[Function]) -> None:
        self._functions = functions

    @functools.cached_property
    def _versions(self) -> dict[str, dict[str, Function]]:
        versions: dict[str, dict[str, Function]] = {}
        for function in self._functions:
            known = versions.setdefault(function.name, {})
            if function.version in known:
                raise Conflict(
                    f"There are two functions {function.name}:{function.version}.",
                    hint="Rename one, or give it another version.",
                )
            known[function.version] = function
        return {
            name: dict(sorted(known.items(), key=lambda item: _order(item[0]), reverse=True))
            for name, known in versions.items()
        }

    def __repr__(self) -> str:
        return f"Table({len(self._versions)} functions: {', '.join(self.names())})"

    def get(self, name: str, version: str | None = None) -> Function:
        """The function; without a version (or with `latest`) the newest, with `1` or `1.2` the newest that begins so.

        NotFound names the nearest one that exists.
        """
        known = self._versions.get(name)
        if known is None:
            near = difflib.get_close_matches(name, self.names(), n=1)
            hint = f"Did you mean {near[0]}?" if near else "`perdure functions list` shows what there is."
            raise NotFound(f"There is no function {name}.", hint=hint)
        for candidate, function in known.items():
            if version in (None, "latest", candidate) or candidate.startswith(f"{version}."):
                return function
        raise NotFound(f"There is no version {version} of the function {name}.", hint=f"There is {', '.join(known)}.")

    def surround(self, wrap: Callable[[Function], Function]) -> None:
        """Put something around every function (traces, log lines). It must behave as the function does."""
        for known in self._versions.values():
            known.update({version: wrap(function) for version, function in known.items()})

    def names(self) -> list[str]:
        """Names in order of the alphabet."""
        return sorted(self._versions)

    def all(self) -> list[Function]:
        """Every version of every function, newest first within a name."""
        return [function for name in self.names() for function in self._versions[name].values()]

    def schema_of(self, name: str, version: str | None = None) -> dict[str, Any] | None:
        """The input schema, or None when there is no such function."""
        try:
            return self.get(name, version).input_schema
        except NotFound:
            return None

    def describe(self, name: str, version: str | None = None) -> dict[str, Any] | None:
        """What a model is told of a function that it may call; None when there is no such function."""
        try:
            function = self.get(name, version)
        except NotFound:
            return None
        return {
            "name": function.name,
            "version": function.version,
            "description": function.summary,
            "parameters": function.input_schema,
            "effect": function.effect,
        }


def _order(version: str) -> tuple[tuple[int, int, str], ...]:
    """Numbers as numbers; a pre-release (`1.0.0-rc.1`) before its release."""
    release, _, suffix = version.partition("-")
    parts = [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in release.split(".")]
    return (*parts, (0, 0, suffix) if suffix else (2, 0, ""))
