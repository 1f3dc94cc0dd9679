"""The functions that the documents of the benchmarks call."""

from perdure.functions.python import function


@function(effect="idempotent")
async def noop() -> None:
    """Does nothing."""


@function(effect="read")
async def look() -> None:
    """Does nothing either, and says that it changes nothing."""
