"""Secrets within one call: opened, held to hosts, kept out of messages."""

import pytest

from perdure.functions.secret_use import SecretUse, has_secret, hidden
from perdure.ports.function import FunctionFault
from tests.servers.calls import context, handle

PARTS = {"$perdure.parts": ["Bearer ", handle("t", "key")]}


def test_handles_and_texts_around_them_are_opened():
    use = SecretUse(context({"t": {"key": "abcd"}}))
    assert use.open({"a": [PARTS, handle("t")], "b": 1}) == {"a": ["Bearer abcd", {"key": "abcd"}], "b": 1}
    assert use.redact("x abcd y") == "x *** y"
    assert repr(use) == "SecretUse(t)"


def test_shown_values_hold_stars():
    assert hidden({"a": PARTS}) == {"a": "Bearer ***"}
    assert has_secret([PARTS])
    assert not has_secret([{"a": 1}])


def test_lists_and_short_values():
    use = SecretUse(context({"t": ["long-one", "ab", True, 12345]}))
    use.open(handle("t"))
    assert use.redact("long-one ab True 12345") == "*** ab True ***"


@pytest.mark.parametrize(
    ("host", "fits"),
    [
        ("api.example.com", True),
        ("API.example.com.", True),
        ("a.inner.org", True),
        ("inner.org", False),
        ("evilinner.org", False),
        ("api.example.com.evil.org", False),
        ("", False),
    ],
)
def test_a_bound_secret_fits_its_hosts_only(host, fits):
    use = SecretUse(context({"t": "x"}, hosts={"t": ("api.example.com", "*.inner.org")}))
    use.hold_to("anywhere.org")  # nothing is opened yet
    use.open(handle("t"))
    if fits:
        use.hold_to(host)
    else:
        with pytest.raises(FunctionFault, match="may be sent to"):
            use.hold_to(host)


def test_an_unbound_secret_goes_anywhere():
    use = SecretUse(context({"t": "x"}))
    use.open(handle("t"))
    use.hold_to("anywhere.org")


def test_a_missing_secret_is_a_fault():
    with pytest.raises(FunctionFault) as caught:
        SecretUse(context({})).open(handle("t"))
    assert caught.value.problem["status"] == 403
