"""The limits of one evaluation (language.md 7.3): plain numbers, the same on every machine, never a clock.

They are part of the engine's name and so of every Program's hash: a run keeps the limits it was started with.
"""

from typing import NamedTuple


class Limits(NamedTuple):
    """One unit of fuel is about a microsecond of work."""

    source: int = 20_000
    """Characters of an expression."""
    tokens: int = 4_000
    """Words of an expression."""
    load: int = 450
    """Weight of the parser's own recursion: a bracket weighs 13, a pipe 1."""
    height: int = 150
    """Levels of the syntax tree."""
    branches: int = 50
    """Arms of one `if`."""
    fuel: int = 1_000_000
    """Evaluation steps."""
    depth: int = 100
    """Calls inside calls."""
    frames: int = 400
    """Filters inside filters, through all calls. Python fails between 900 and 1,000, the caller's frames included."""
    nesting: int = 200
    """Levels of an array or object that is compared, sorted, printed or returned."""
    output: int = 1_000_000
    """Characters of a result, about."""
    bits: int = 1_024
    """Bits of an integer: the reach of a double."""
    pattern: int = 2_000
    """Characters of a regular expression."""
    program: int = 5_000
    """Instructions of a compiled regular expression."""
    memory: int = 1 << 20
    """Bytes that RE2 may use for one regular expression."""


LIMITS = Limits()
