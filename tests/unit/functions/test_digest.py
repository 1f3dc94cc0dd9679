"""Digest authentication against the examples of RFC 7616 and RFC 2617, which are the specification's own results."""

import hashlib

import pytest

from perdure.functions.digest import answer, best, challenges

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
RFC7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, '
    f'nonce="{NONCE}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS", '
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, '
    f'nonce="{NONCE}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
PAIR = ("Mufasa", "Circle of Life")


def fields(header):
    return challenges(header)[0][1]


def test_the_best_challenge_is_answered_as_the_rfc_says():
    challenge = best(RFC7616)
    assert challenge["algorithm"] == "SHA-256"
    header = answer(challenge, PAIR, "GET", "http://www.example.org/dir/index.html", body=b"", cnonce=CNONCE)
    assert fields(header)["response"] == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    assert 'uri="/dir/index.html"' in header
    assert "nc=00000001" in header


def test_md5_as_the_rfc_says():
    challenge = challenges(RFC7616)[1][1]
    header = answer(challenge, PAIR, "GET", "http://www.example.org/dir/index.html", body=b"", cnonce=CNONCE)
    assert fields(header)["response"] == "8ca523f5e9506fed4657c9700eebdbec"


def test_a_challenge_without_quality_is_answered_the_old_way():
    challenge = best('Digest realm="testrealm@host.com", nonce="dcd98b", opaque="5ccc"')
    header = answer(challenge, ("Mufasa", "Circle Of Life"), "GET", "http://a/dir?x=1", body=b"", cnonce="c")
    md5 = lambda text: hashlib.md5(text.encode()).hexdigest()  # noqa: E731
    expected = md5(f"{md5('Mufasa:testrealm@host.com:Circle Of Life')}:dcd98b:{md5('GET:/dir?x=1')}")
    assert fields(header)["response"] == expected
    assert "qop" not in header
    assert "algorithm" not in header


def test_sessions_and_body_integrity():
    challenge = {"realm": "r", "nonce": "n", "qop": "auth-int", "algorithm": "SHA-256-sess", "userhash": "true"}
    header = fields(answer(challenge, ("u", "p"), "POST", "http://a/", body=b"body", cnonce="c", count=2))
    sha = lambda text: hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()  # noqa: E731
    a1 = sha(f"{sha('u:r:p')}:n:c")
    a2 = sha("POST:/:" + sha(b"body"))
    assert header["response"] == sha(f"{a1}:n:00000002:c:auth-int:{a2}")
    assert header["username"] == sha("u:r")
    assert header["userhash"] == "true"


@pytest.mark.parametrize(
    ("header", "schemes"),
    [
        ('Basic realm="a, b", Digest nonce=x, realm="c\\"d"', ["basic", "digest"]),
        ("Negotiate, Basic realm=x", ["negotiate", "basic"]),
        ("Negotiate", ["negotiate"]),
        ("", []),
        ("=", []),
    ],
)
def test_headers_with_several_challenges(header, schemes):
    assert [scheme for scheme, _ in challenges(header)] == schemes


def test_what_cannot_be_answered_is_left():
    assert best('Basic realm="x"') is None
    assert best("Digest nonce=x, algorithm=SHA-9") is None
    assert best("Digest realm=x") is None
    assert best('Digest nonce=x, algorithm=MD5, Digest nonce=y, algorithm="SHA-512-256"')["nonce"] == "y"
