"""Secrets of the environment."""

import pytest

from perdure.adapters.secrets_environment import EnvironmentSecrets
from perdure.errors import Invalid
from perdure.ports.secrets import Secret


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("plain", Secret("plain")),
        ("123", Secret("123")),
        ('{"a": {"b": 1}}', Secret({"a": {"b": 1}})),
        ("{not json", Secret("{not json")),
        ('["a"]', Secret(["a"])),
        ('{"value": "v", "hosts": ["a.example", "*.b.example"]}', Secret("v", ("a.example", "*.b.example"))),
        ('{"value": "v"}', Secret({"value": "v"})),
    ],
)
async def test_values_are_text_or_json_and_may_be_bound(text, secret):
    secrets = EnvironmentSecrets({"PERDURE_SECRET_TOKEN": text, "OTHER": "x", "PERDURE_SECRET_": "x"})
    assert await secrets.get("any", "TOKEN") == secret
    assert secrets.names() == ["TOKEN"]
    assert text not in repr(secrets)
    assert repr(secrets) == "EnvironmentSecrets(1 secrets)"


async def test_names_as_an_environment_can_hold_them():
    secrets = EnvironmentSecrets({"PERDURE_SECRET_MY_TOKEN": "a", "PERDURE_SECRET_myToken": "b"})
    assert (await secrets.get("t", "my-token")).value == "a"
    assert (await secrets.get("t", "myToken")).value == "b"
    assert await secrets.get("t", "other") is None


@pytest.mark.parametrize("hosts", ["[]", '"a"', '["https://a"]', '["a:80"]', '["*"]', '["*."]', '["a.*.b"]', "[1]"])
def test_hosts_that_do_not_fit_are_told(hosts):
    with pytest.raises(Invalid, match="hosts of the secret PERDURE_SECRET_T"):
        EnvironmentSecrets({"PERDURE_SECRET_T": f'{{"value": 1, "hosts": {hosts}}}'})
