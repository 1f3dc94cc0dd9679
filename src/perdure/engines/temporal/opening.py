"""Opens a connection and looks at what is there: the namespace, and the search attributes it has."""

import asyncio
import contextlib
import functools

from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, RPCError
from temporalio.converter import DataConverter
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCStatusCode

from perdure.engines.temporal import protocol
from perdure.engines.temporal.connection import Address, connect
from perdure.errors import Invalid, Unavailable

_PATIENCE = 2.0
"""Seconds for which a server may keep us waiting at first: who asks for a run wants to know at once."""


async def reach(address: Address, converter: DataConverter) -> tuple[Client, bool]:
    """A client, and whether runs can be found by our search attributes. Unavailable, or Invalid with what to mend."""
    _be_quiet()
    try:
        async with asyncio.timeout(_PATIENCE):
            client = await connect(address, converter)
            _, has_attributes = await asyncio.gather(_find_namespace(client, address), _knows_attributes(client))
    except TimeoutError:
        raise Unavailable(
            f"The Temporal server at {address.target} does not answer.",
            hint="Start it, or name another one in PERDURE_TEMPORAL_ADDRESS.",
        ) from None
    except ValueError as error:
        raise Invalid(
            f"{address.target} is no address of a Temporal server ({error}).",
            hint="PERDURE_TEMPORAL_ADDRESS is HOST:PORT, as in 127.0.0.1:7233.",
        ) from None
    return client, has_attributes


@functools.cache
def _be_quiet() -> None:
    """The library writes its warnings to standard output, which belongs to a run's output. What is wrong is raised."""
    quiet = Runtime(telemetry=TelemetryConfig(logging=None), worker_heartbeat_interval=None)
    Runtime.set_default(quiet, error_if_already_set=False)


async def _find_namespace(client: Client, address: Address) -> None:
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=address.namespace))
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:  # one that may not be looked at may be used all the same
            raise Invalid(
                f"The Temporal server at {address.target} has no namespace {address.namespace}.",
                hint="Create it (`temporal operator namespace create`), or name another one in PERDURE_TEMPORAL_NAMESPACE.",
            ) from None


async def _knows_attributes(client: Client) -> bool:
    with contextlib.suppress(RPCError):
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
        return set(protocol.ATTRIBUTES) <= set(known.custom_attributes)
    return False
