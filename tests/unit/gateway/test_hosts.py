"""Names that are ours, and proxies that are believed."""

import pytest

from perdure.errors import Invalid
from perdure.gateway.hosts import host_name
from perdure.gateway.rules import Rate, Rules
from tests.unit.gateway.world import World

PATH = "/api/v1/notes"
PROXY = ("10.0.0.7", 1)


@pytest.mark.parametrize(
    ("host", "status"),
    [("a.test", 200), ("A.Test:8080", 200), ("x.b.test", 200), ("b.test", 400), ("a.test.evil", 400), ("evil", 400),
     ("", 400), ("xb.test", 400)],
)  # fmt: skip
async def test_names(host, status):
    world = World(Rules(hosts=("a.test", "*.b.test")))
    assert (await world.ask("GET", PATH, headers={"host": host})).status == status


@pytest.mark.parametrize(("given", "name"), [("a:80", "a"), ("[::1]:80", "[::1]"), ("A", "a"), ("", "")])
def test_the_name_in_a_host_header(given, name):
    assert host_name(given) == name


async def address_seen(rules: Rules, client, headers) -> bool:
    """Whether two requests counted as one address."""
    world = World(rules)
    for last in ("192.0.2.50", "192.0.2.51"):
        forwarded = {name: value.replace("LAST", last) for name, value in headers.items()}
        answer = await world.ask("GET", f"{PATH}/public/word", key=None, client=client, headers=forwarded)
    return answer.status == 429


async def test_only_listed_proxies_are_believed():
    once = {"public": Rate(1, 60)}
    told = {"x-forwarded-for": "203.0.113.1, LAST, 10.0.0.9"}
    assert not await address_seen(Rules(rates=once, proxies=("10.0.0.0/8",)), PROXY, told)
    assert await address_seen(Rules(rates=once, proxies=("10.0.0.0/8",)), ("192.0.2.1", 1), told)
    assert await address_seen(Rules(rates=once), PROXY, told)
    assert not await address_seen(Rules(rates=once, proxies=("unix",)), None, told | {"x-forwarded-for": "LAST"})


async def test_what_stands_before_the_last_proxy_is_not_believed():
    once = {"public": Rate(1, 60)}
    told = {"x-forwarded-for": "LAST, 203.0.113.1"}
    assert await address_seen(Rules(rates=once, proxies=("10.0.0.0/8",)), PROXY, told)


async def test_a_proxy_tells_the_scheme():
    world = World(Rules(proxies=("10.0.0.0/8",)))
    https = {"x-forwarded-proto": "https"}
    assert "strict-transport-security" in (await world.ask("GET", PATH, client=PROXY, headers=https)).headers
    assert "strict-transport-security" not in (await world.ask("GET", PATH, headers=https)).headers


def test_a_network_that_is_none():
    with pytest.raises(Invalid, match="no network|not a network"):
        World(Rules(proxies=("everywhere",)))


async def test_one_network_of_ipv6_is_one_address():
    once = {"public": Rate(1, 60)}
    world = World(Rules(rates=once))
    statuses = [
        (await world.ask("GET", f"{PATH}/public/word", key=None, client=(address, 1))).status
        for address in ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1", "fe80::1%eth0")
    ]
    assert [status == 429 for status in statuses] == [False, True, False, False]
