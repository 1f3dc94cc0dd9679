"""Other origins in a browser: none, unless listed, and never with cookies."""

from perdure.gateway.rules import Rules
from tests.unit.gateway.world import World

PATH = "/api/v1/notes"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}


async def test_nobody_is_listed_by_default():
    world = World()
    asked = await world.ask("OPTIONS", PATH, key=None, headers={"origin": "http://a.test", **PREFLIGHT})
    assert asked.status == 405
    read = await world.ask("GET", PATH, headers={"origin": "http://a.test"})
    assert not any(name.startswith("access-control") for name in {**asked.headers, **read.headers})


async def test_a_listed_origin_is_named_and_no_other():
    world = World(Rules(origins=("http://a.test",)))
    asked = await world.ask("OPTIONS", PATH, key=None, headers={"origin": "http://a.test", **PREFLIGHT})
    assert asked.status == 204
    assert asked.headers["access-control-allow-origin"] == "http://a.test"
    assert "x-api-key" in asked.headers["access-control-allow-headers"]
    for origin in ("http://a.test.evil", "https://a.test", "http://A.test", "null", "*"):
        other = await world.ask("OPTIONS", PATH, key=None, headers={"origin": origin, **PREFLIGHT})
        assert other.status == 405 and "access-control-allow-origin" not in other.headers
        assert other.headers["vary"] == "Origin"


async def test_refusals_are_readable_for_a_listed_origin_and_cookies_never():
    world = World(Rules(origins=("http://a.test",)))
    refused = await world.ask("GET", PATH, key=None, headers={"origin": "http://a.test"})
    assert refused.status == 401 and refused.headers["access-control-allow-origin"] == "http://a.test"
    assert "access-control-allow-credentials" not in refused.headers
