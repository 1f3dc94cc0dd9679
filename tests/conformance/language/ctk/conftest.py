"""The kit's documents name real hosts; local servers stand in for them, at the HTTP client (language.md 3.3)."""

import asyncio

import pytest

from perdure.adapters.egress import HttpEgress
from tests.conformance.language.scenario import Scenario
from tests.servers.stand_ins import stand_ins


@pytest.fixture
def scenario(scenario: Scenario, loop: asyncio.Runner):  # type: ignore[no-untyped-def]
    servers = stand_ins()
    hosts = loop.run(servers.__aenter__())
    scenario.egress = HttpEgress(mapping=hosts)
    yield scenario
    loop.run(scenario.egress.close())
    loop.run(servers.__aexit__(None, None, None))
