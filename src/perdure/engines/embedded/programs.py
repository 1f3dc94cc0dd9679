"""Compiled programs, the newest few in memory, each made from a definition that is kept by content hash."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from perdure.errors import Bug, Invalid, NotFound
from perdure.interpreter.agent_tools import PINNED
from perdure.interpreter.machine import compile
from perdure.interpreter.program import Program
from perdure.language.values import Json, content_hash

_KEPT = 256


class Programs:
    """Definition hash -> program. `read(hash)` gives the document and resources of a stored definition."""

    def __init__(self, functions: Any, read: Callable[[str], tuple[Json, dict[str, Json]] | None]) -> None:
        self._functions = functions
        self._read = read
        self._programs: OrderedDict[str, Program] = OrderedDict()
        self._pinned: dict[str, str] = {}
        """Hash as given -> hash with what compiling pinned (an agent's tools), where that is another one."""

    def __repr__(self) -> str:
        return f"Programs({len(self._programs)})"

    def add(self, document: Json, resources: dict[str, Json] | None) -> tuple[str, Program]:
        """The hash and the program of a checked document."""
        given = content_hash([document, resources or {}])
        hash = self._pinned.get(given, given)
        program = self._programs.get(hash)
        if program is None:
            program = compile(document, resources or {}, self._functions)
            if program.resources != (resources or {}):
                hash = self._pinned[given] = content_hash([document, program.resources])
            self._keep(hash, program)
        return hash, program

    def get(self, hash: str, expected: str | None = None) -> Program:
        """The program of a stored definition; Bug when this Perdure makes another program of it than `expected`."""
        program = self._programs.get(hash)
        if program is None:
            stored = self._read(hash)
            if stored is None:
                raise NotFound(f"The definition {hash} is not in the journal.")
            program = self._keep(hash, compile(*stored, self._functions))
        else:
            self._programs.move_to_end(hash)
        if expected is not None and program.hash != expected:
            raise Bug(
                f"This Perdure makes another program ({program.hash[:12]}) of the run's document than the one it began with ({expected[:12]}).",
                hint="Let the run end with the version that started it.",
            )
        return program

    def check_tools(self, program: Program) -> None:
        """Invalid when agents of a program have tools that are not here: a model would be told that they fail."""
        for key, told in program.resources.items():
            if key.startswith(PINNED) and self._functions.describe(told["name"], told["version"]) is None:
                raise Invalid(
                    f"An agent of the run has a tool {told['name']!r}, and there is no function of that name here.",
                    hint="Go on with the functions that the run was started with.",
                )

    def _keep(self, hash: str, program: Program) -> Program:
        self._programs[hash] = program
        if len(self._programs) > _KEPT:
            self._programs.popitem(last=False)
        return program
