"""Forgets big values of runs that the server has forgotten. Their names tell the run; the server tells whether it is there."""

import re
import time

from temporalio.client import Client, RPCError
from temporalio.service import RPCStatusCode

from perdure.engines.temporal import protocol
from perdure.engines.temporal.codec import PAYLOADS, directory_of, workflow_of
from perdure.engines.temporal.connection import border
from perdure.ports.blobs import Blobs

YOUNGEST = 2 * 3600 * 1000
"""Milliseconds for which a value is never forgotten: it is kept before its run begins, and may be under way."""
_claim = re.compile(rb"payloads/~[A-Za-z0-9._%~-]+/[0-9a-f]{64}")


async def sweep(client: Client, installation: str, tenant: str, blobs: Blobs, before: int) -> int:
    """Forget the values put before this time whose run is no more; how many they were.

    A run that begins anew under an old id puts its values first, which makes them young. Unavailable when the server does not
    answer: nothing is forgotten on a guess.
    """
    before = min(before, time.time_ns() // 1_000_000 - YOUNGEST)
    count = 0
    for part in await blobs.names(PAYLOADS):
        workflow = workflow_of(part)
        if workflow is None or not workflow.startswith(protocol.run_id(installation, tenant, "")):
            continue
        directory = directory_of(workflow)
        needed: set[str] = set()
        if await _is_there(client, workflow):
            if workflow != protocol.exchange_id(installation, tenant):
                continue
            # It never ends: what its present execution does not name was needed by earlier ones only.
            needed = await _named(client, workflow)
        for name in await blobs.names(directory):
            if f"{directory}/{name}" not in needed and await blobs.delete(f"{directory}/{name}", before=before):
                count += 1
    return count


async def _is_there(client: Client, workflow: str) -> bool:
    with border("The list of runs cannot be read."):
        try:
            await client.get_workflow_handle(workflow).describe()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return False
        return True


async def _named(client: Client, workflow: str) -> set[str]:
    named: set[str] = set()
    with border("The exchange has ended meanwhile."):
        async for event in client.get_workflow_handle(workflow).fetch_history_events():
            named.update(found.decode() for found in _claim.findall(event.SerializeToString()))
    return named
