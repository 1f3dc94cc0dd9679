"""The function that the documents of the benchmarks call."""

from perdure.functions.python import function


@function(effect="idempotent")
async def noop() -> None:
    """Does nothing."""
