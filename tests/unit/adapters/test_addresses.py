"""Which addresses and hosts may be reached (security.md 4)."""

import ipaddress

import pytest

from perdure.adapters.addresses import DENIED_V4, DENIED_V6, Allowed, denial, destinations, judged, literal, matches


@pytest.mark.parametrize(
    "text",
    [
        *("192.0.0.192", "224.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::"),
        *("fec0::1", "ff02::1", "168.63.129.16", "::ffff:7f00:1", "::ffff:0:7f00:1", "2001:0:7f00:1::", "fe80::1"),
        *("2606:4700::5efe:7f00:1", "2606:4700::200:5efe:a00:1", "3fff::1", "5f00::1", "100::1", "::"),
    ],
)
def test_what_only_looks_public_is_denied(text):
    assert denial(ipaddress.ip_address(text)) is not None


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "168.63.129.17"])
def test_public_addresses_pass(text):
    assert denial(ipaddress.ip_address(text)) is None


@pytest.mark.parametrize("network", [*DENIED_V4, *DENIED_V6])
def test_both_ends_of_every_network_of_the_table_are_denied(network):
    for address in (ipaddress.ip_network(network)[0], ipaddress.ip_network(network)[-1]):
        assert denial(address) is not None
        if address.version == 4:
            assert denial(ipaddress.ip_address(f"::ffff:{address}")) is not None


def test_destinations_unwrap_each_tunnel():
    inner = ipaddress.ip_address("127.0.0.1")
    for text in ("::ffff:7f00:1", "64:ff9b::7f00:1", "::7f00:1", "2002:7f00:1::", "2001:0:0:0:0:0:80ff:fffe"):
        assert inner in destinations(ipaddress.ip_address(text)), text


@pytest.mark.parametrize(
    "host", ["127.1", "0x7f.1", "00127.0.0.1", "2130706433", "0", "1.2.3.4.", "1.2.3.256", "0x7f000001"]
)
def test_a_numeric_host_must_be_in_its_usual_form(host):
    with pytest.raises(ValueError, match="usual form"):
        literal(host)


@pytest.mark.parametrize("host", ["a b.example", "-a.example", "a..b", "exa_mple.com" * 30, "ex!ample.com", ""])
def test_a_host_must_be_a_name(host):
    with pytest.raises(ValueError, match="host name"):
        literal(host)


def test_names_are_names():
    assert literal("example.com.") is None
    assert literal("xn--bcher-kva.example") is None
    assert str(literal("::1")) == "::1"


def test_the_allow_list_takes_networks_addresses_hosts_and_ports():
    allowed = Allowed(
        ["10.0.0.0/8", "127.0.0.1:8080", "db.internal", "api.internal:9200", "*.corp.example", "[::1]:80"]
    )
    address = ipaddress.ip_address
    assert allowed.has_address(address("10.1.2.3"), 1234)
    assert allowed.has_address(address("::ffff:10.1.2.3"), 1234)
    assert allowed.has_address(address("127.0.0.1"), 8080)
    assert not allowed.has_address(address("127.0.0.1"), 8081)
    assert allowed.has_address(address("::1"), 80)
    assert allowed.has_host("db.internal", 1)
    assert allowed.has_host("DB.internal.", 1)
    assert not allowed.has_host("api.internal", 1)
    assert allowed.has_host("a.b.corp.example", 1)
    assert not allowed.has_host("corp.example", 1)
    assert not allowed.has_host("evilcorp.example", 1)
    assert allowed.names_port("api.internal", 9200)
    assert allowed.names_port("127.0.0.1", 8080)
    assert not allowed.names_port("127.0.0.1", 22)
    assert not allowed.names_port("0x7f.1", 22)
    assert repr(allowed) == "Allowed(3 networks, 3 hosts)"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("10.0.0.0/33", "no network"),
        ("10.0.0.1/8", "no network"),
        ("host:0", "no valid port"),
        ("host:http", "no valid port"),
        ("0x7f.1", "neither a network"),
        ("a b", "neither a network"),
    ],
)
def test_a_wrong_entry_is_told(entry, said):
    with pytest.raises(ValueError, match=said):
        Allowed([entry])


def test_patterns_are_compared_whole():
    assert matches("a.example.com", "*.example.com")
    assert not matches("example.com", "*.example.com")
    assert not matches("badexample.com", "*.example.com")
    assert not matches("example.com.evil.org", "example.com")


def test_judged_gives_each_address_its_reason():
    addresses = [ipaddress.ip_address("8.8.8.8"), ipaddress.ip_address("10.0.0.1")]
    assert [reason for _, reason in judged(addresses, 80, Allowed())] == [None, "private"]
    assert [reason for _, reason in judged(addresses, 80, Allowed(["10.0.0.0/8"]))] == [None, None]
