"""One platform for the tests of this folder that ask it over HTTP."""

import pytest

from tests.servers.platform import Served, platform


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Served:
    """The whole platform, with its owner key."""
    with platform(tmp_path_factory.mktemp("platform"), log_level="warning") as running:
        yield running


@pytest.fixture(scope="session")
def openapi(served) -> dict:
    """Its description of itself."""
    return served.ask("GET", "/api/v1/openapi.json", key=None).json
