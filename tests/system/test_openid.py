"""`perdure up` with a real OpenID provider beside it: its tokens sign in, and only those that are right in everything."""

import json
import time
import urllib.error
import urllib.request

import pytest

from perdure.client import users
from tests.servers.openid import OpenIdProvider, elliptic, rsa
from tests.system.platform_process import PlatformProcess

AUDIENCE = "https://perdure.example"
ACCOUNT = "ana@example.com"


class World:
    """A provider, and a platform that trusts it for its home tenant."""

    def __init__(self, folder) -> None:
        self.provider = OpenIdProvider(folder, machine=["perdure-operator", "admin"], **{ACCOUNT: ["flow-builders"]})
        trusted = {
            "issuer": self.provider.issuer, "audience": AUDIENCE, "tenant": "default",
            "roles": {"flow-builders": "editor"},
        }  # fmt: skip
        file = folder / "oidc.json"
        file.write_text(json.dumps({"providers": [trusted]}))
        self.key = rsa("first")
        self.platform = PlatformProcess(folder, PERDURE_OIDC=str(file), PERDURE_RATE_LIMITS="refused=0")

    def me(self, token: str) -> tuple[int, dict]:
        request = urllib.request.Request(f"{self.platform.address}/api/v1/me")
        request.add_header("authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def accepted(self, token: str) -> float:
        """Wait until a token is taken, and say how long it was: keys are asked for every few seconds at most."""
        begun = time.monotonic()
        while self.me(token)[0] != 200:
            assert time.monotonic() - begun < 30, self.me(token)
            time.sleep(0.1)
        return time.monotonic() - begun

    def close(self) -> None:
        self.platform.kill()
        self.provider.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("openid"))
    try:
        made.provider.start(made.key)
        made.platform.up()
        yield made
    finally:
        made.close()


def test_a_machine_signs_in_with_client_credentials(world):
    status, me = world.me(world.provider.machine_token(AUDIENCE))
    assert status == 200
    assert (me["tenant"], me["subject"]) == ("default", f"{world.provider.issuer}#machine")
    assert me["roles"] == ["operator"], "a plain `admin` of the whole realm means nothing here"
    assert "installation:read" not in me["permissions"]


def test_a_person_signs_in_with_a_code_and_pkce_and_has_the_role_that_his_is_mapped_to(world):
    tokens = world.provider.person_tokens(ACCOUNT, AUDIENCE)
    status, me = world.me(tokens["access_token"])
    assert (status, me["roles"]) == (200, ["editor"])
    assert world.me(tokens["id_token"])[0] == 401, "an ID token is for the application, not for us"


def test_a_token_for_another_audience_is_refused(world):
    assert world.me(world.provider.machine_token("https://other.example"))[0] == 401


def test_a_token_of_another_issuer_or_of_another_key_is_refused(world, tmp_path):
    other = OpenIdProvider(tmp_path, machine=["perdure-owner"])
    try:
        other.start(world.key)
        assert world.me(other.machine_token(AUDIENCE))[0] == 401, "nobody trusts that issuer"
        other.issuer = world.provider.issuer
        other.start(rsa(world.key["kid"]))
        assert world.me(other.machine_token(AUDIENCE))[0] == 401, "it lies about who it is, with a key of its own"
    finally:
        other.stop()


def test_a_token_that_has_expired_is_refused(world):
    world.provider.start(world.key, shift=-3600)
    assert world.me(world.provider.machine_token(AUDIENCE))[0] == 401
    world.provider.start(world.key)
    assert world.me(world.provider.machine_token(AUDIENCE))[0] == 200


def test_a_provider_that_is_down_keeps_nobody_out_whose_key_is_known(world):
    one = world.provider.machine_token(AUDIENCE)
    world.provider.stop()
    assert world.me(one)[0] == 200
    assert world.me(one[:-6] + "AAAAAA")[0] == 401


def test_new_keys_are_good_within_seconds_and_old_ones_are_not_any_more(world):
    old_key, new_key = world.key, elliptic("new")
    world.provider.start(old_key)
    old = world.provider.machine_token(AUDIENCE)
    assert world.me(old)[0] == 200
    world.provider.start(new_key, old_key)  # both for a while, the new one signs
    new = world.provider.machine_token(AUDIENCE)
    assert world.accepted(new) < 15
    assert world.me(old)[0] == 200
    world.provider.start(elliptic("newer"), new_key)  # and the old one is gone
    assert world.accepted(world.provider.machine_token(AUDIENCE)) < 15, "this makes us look again"
    assert world.me(old)[0] == 401
    assert world.me(new)[0] == 200


def test_a_platform_starts_without_its_provider_and_takes_its_tokens_once_it_is_there(tmp_path):
    made = World(tmp_path)
    key = rsa("late")
    try:
        made.provider.start(key)
        token = made.provider.machine_token(AUDIENCE)
        made.provider.stop()
        made.platform.up()
        status, problem = made.me(token)
        assert (status, problem["code"]) == (503, "unavailable")
        with made.platform.client() as client:
            assert client.do(users.me()).tenant == "default", "keys of ours do not need it"
        made.provider.start(key)
        assert made.accepted(token) < 15
    finally:
        made.close()
