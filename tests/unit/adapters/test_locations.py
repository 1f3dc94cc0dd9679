"""Addresses are read strictly (security.md 4, E)."""

import pytest

from perdure.adapters.locations import follow, parse


def test_an_address_is_read_into_its_parts():
    location = parse("hTTps://Example.COM/a b".replace(" ", "%20") + "?q=ä#part")
    assert location.uri == "https://example.com/a%20b?q=%C3%A4"
    assert (location.scheme, location.host, location.port, location.address) == ("https", "example.com", 443, None)
    assert location.place == "example.com:443"
    assert location.authority == "example.com"


def test_ports_and_ipv6_keep_their_form():
    location = parse("http://[2606:4700:0:0::1111]:8080?x=1")
    assert location.uri == "http://[2606:4700::1111]:8080/?x=1"
    assert location.place == "[2606:4700::1111]:8080"
    assert parse("http://8.8.8.8:80/").authority == "8.8.8.8"


def test_a_name_is_put_into_its_ascii_form():
    assert parse("http://bücher.example/").host == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://good@127.0.0.1/", "user name"),
        ("http://good\\@127.0.0.1/", "backslash"),
        ("http:/\\127.0.0.1", "backslash"),
        ("//127.0.0.1", "no absolute address"),
        ("/path", "no absolute address"),
        ("http:127.0.0.1", "two slashes"),
        ("http:///path", "no valid host"),
        ("http://", "no valid host"),
        ("http://good%00.127.0.0.1/", "percent"),
        ("http://[fe80::1%25lo]/", "percent"),
        ("http://[::1/", "no valid host"),
        ("http://[1:2]/", "no IPv6"),
        ("http://a:80:80/", "no valid host"),
        ("http://a:0/", "does not exist"),
        ("http://a:99999/", "does not exist"),
        ("http://a:b/", "no valid host"),
        ("file:///etc/passwd", "scheme 'file'"),
        ("gopher://a/", "scheme"),
        ("http+unix://a/", "scheme"),
        ("http://a\r\nb/", "control"),
        ("http://a/b\tc", "control"),
        ("http://a/b c", "space"),
        ("http://１２７.０.０.１/", "foreign digits"),
        ("http://①②⑦.⓪.⓪.①/", "foreign digits"),
        ("http://１２７.１/", "no name"),
        ("http://" + "ä" * 300 + "/", "no name"),
        ("http://a/" + "b" * 20_000, "longer"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(uri, said):
    with pytest.raises(ValueError, match=said):
        parse(uri)


def test_redirects_are_read_against_where_they_come_from():
    start = parse("https://a.example/x/y?z=1")
    assert follow(start, "../b").uri == "https://a.example/b"
    assert follow(start, "//b.example/c").uri == "https://b.example/c"
    for header, said in (("http://a.example/", "from https to http"), ("file:///x", "scheme"), ("/a\r\nb", "control")):
        with pytest.raises(ValueError, match=said):
            follow(start, header)
