"""Functions on real local servers."""

import pytest

from perdure.adapters.clock import TestClock
from perdure.adapters.egress import HttpEgress
from perdure.functions.authentication import Authenticator
from perdure.functions.http import Http
from perdure.functions.openapi import OpenApi


@pytest.fixture
async def egress():
    client = HttpEgress(["127.0.0.1"])
    yield client
    await client.close()


@pytest.fixture
def clock():
    return TestClock()


@pytest.fixture
def authenticator(egress, clock):
    return Authenticator(egress, clock)


@pytest.fixture
def http(authenticator):
    return Http(authenticator)


@pytest.fixture
def openapi(authenticator):
    return OpenApi(authenticator)
