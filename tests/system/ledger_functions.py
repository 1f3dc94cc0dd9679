"""Functions of the workers that get killed: an outside service that honours idempotency keys, and one that does not.

Every call is a line in a file, written before the answer, so that a killed worker leaves its calls behind.
"""

import asyncio
import os

import perdure
from perdure.ports.function import Context


def note(word: str, key: str) -> None:
    line = f"{word} {key}\n".encode()
    file = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line)
    finally:
        os.close(file)


@perdure.function(effect="idempotent")
async def effect(label: str, context: Context) -> dict[str, str]:
    """Something that happens once per key, however often it is asked for."""
    note("effect", context.key)
    await asyncio.sleep(float(os.environ.get("PACE", "0.02")))
    return {"label": label}


@perdure.function(effect="unsafe")
async def charge(label: str, context: Context) -> dict[str, str]:
    """Something that happens each time it is asked for."""
    note("charge", context.key)
    await asyncio.sleep(0.05)
    return {"label": label}


@perdure.function(effect="read")
async def big(megabytes: int, context: Context) -> dict[str, str]:
    """A value that no server takes in one piece."""
    note("big", context.key)
    return {"text": "x" * (megabytes * 1_000_000)}


@perdure.function(effect="unsafe")
async def alone(label: str, context: Context) -> int:
    """How many others were under way when this one began."""
    global under_way
    note("alone", context.key)
    others, under_way = under_way, under_way + 1
    await asyncio.sleep(0.3)
    under_way -= 1
    return others


under_way = 0
