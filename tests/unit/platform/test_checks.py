"""What `perdure doctor` finds wrong with settings, without any server."""

import pytest

from perdure.platform import checks
from perdure.settings import Settings

PART = "rules and functions"


async def findings(folder, **settings):
    chosen = Settings(**settings)
    return {found.part: found async for found in checks.look(folder, chosen, {})}


@pytest.mark.parametrize(
    ("settings", "part", "words"),
    [
        ({"rate_limits": ("nope=1",)}, PART, "is no limit"),
        ({"proxies": ("nonsense",)}, PART, "not a network of proxies"),
        ({"guardrails": "/nowhere/rules.yaml"}, PART, "/nowhere/rules.yaml"),
        ({"functions": ("no_such_module",)}, PART, "no_such_module"),
        ({"egress_allow": ("300.1.1.1/99",)}, PART, "PERDURE_EGRESS_ALLOW"),
        ({"master_keys": ("abc",)}, "secrets", "not base64"),
        ({"secrets": "/nowhere/secrets.yaml"}, "secrets", "/nowhere/secrets.yaml"),
        ({"models": "/nowhere/models.yaml"}, "models", "/nowhere/models.yaml"),
        ({"redis_url": "redis://127.0.0.1:1/0"}, "cache and leases", "cannot be reached"),
        ({"redis_url": "http://x"}, "cache and leases", "cannot be read"),
        ({"bus_url": "http://x"}, "broker", "no broker that is known"),
        ({"oidc": "/nowhere/oidc.yaml"}, "OpenID providers", "/nowhere/oidc.yaml"),
    ],
)
async def test_what_is_wrong_is_failing_and_said(tmp_path, settings, part, words):
    found = await findings(tmp_path, **settings)
    assert found[part].state == "failing"
    assert words in found[part].sentence
    assert found["data directory"].state == "ok"


async def test_a_collector_that_is_away_is_a_warning(tmp_path):
    found = (await findings(tmp_path, otlp_endpoint="http://127.0.0.1:1"))["traces"]
    assert (found.state, found.hint) == ("warning", "Traces are lost meanwhile.")


async def test_a_server_that_does_not_answer_comes_with_what_to_do(tmp_path):
    url = "postgresql://perdure@127.0.0.1:1/perdure"
    found = await findings(tmp_path, database_url=url, master_keys=("a" * 43 + "=",))
    for service in ("identity", "workflows", "agents"):
        assert "cannot be reached" in found[f"database {service}"].sentence
        assert "PERDURE_DATABASE_URL" in found[f"database {service}"].hint


async def test_a_new_installation_is_well(tmp_path):
    found = await findings(tmp_path)
    assert {one.state for one in found.values()} <= {"ok", "warning"}
    assert found[PART].sentence.endswith("functions.")
