"""Our own access tokens, and those of providers: what is not exactly right proves nothing."""

import asyncio
import base64
import hmac

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from perdure.adapters.clock import TestClock
from perdure.errors import Unavailable
from perdure.services.identity.models import Session, User, held
from perdure.services.identity.providers import Provider, Providers
from perdure.services.identity.tokens import Tokens
from perdure.services.identity.who import Who
from tests.unit.services.identity.conftest import somebody

USER = User(tenant="default", id="usr_1", email="a@example.com", name="", role="viewer", created=0)
SESSION = Session(tenant="default", id="ses_1", user="usr_1", kind="refresh", created=0, expires=2**50)
ISSUER = "https://login.example/realms/acme"


async def test_a_token_of_ours_verifies_until_it_expires(identity):
    token, seconds = await identity.tokens.issue(USER, SESSION)
    assert await identity.tokens.verify(token) == ("default", "ses_1")
    identity.clock.jump(seconds)
    assert await identity.tokens.verify(token) is None


async def test_another_process_verifies_it_with_the_same_keys(identity):
    token, _ = await identity.tokens.issue(USER, SESSION)
    assert await Tokens(identity.ground, "https://perdure.example").verify(token) == ("default", "ses_1")
    assert await Tokens(identity.ground, "https://other.example").verify(token) is None


async def test_the_public_keys_hold_nothing_private(identity):
    keys = (await identity.tokens.jwks())["keys"]
    assert keys
    assert all("d" not in key for key in keys)


async def test_a_new_key_signs_after_ninety_days_and_the_old_one_verifies_a_day_longer(identity):
    before, _ = await identity.tokens.issue(USER, SESSION)
    old = (await identity.tokens.jwks())["keys"]
    identity.clock.jump(91 * 86_400)
    await identity.tokens.issue(USER, SESSION)
    new = (await identity.tokens.jwks())["keys"]
    assert len(new) == 2
    assert old[0] in new
    identity.clock.jump(2 * 86_400)
    assert old[0] not in (await identity.tokens.jwks())["keys"]
    assert before


async def test_a_changed_or_foreign_token_proves_nothing(identity):
    token, _ = await identity.tokens.issue(USER, SESSION)
    head, body, sign = token.split(".")
    stranger = ECKey.generate_key("P-256", {"kid": "x"})
    forged = jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": "x"}, {"iss": "https://perdure.example"}, stranger)
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for shown in (f"{head}.{body}.{sign[:-4]}AAAA", f"{none}.{body}.", forged, f"{head}.{body}", "", "..", "a.b.c"):
        assert await identity.tokens.verify(shown) is None


class OtherProvider:
    """What a provider says of itself, and the tokens it gives."""

    def __init__(self) -> None:
        self.clock = TestClock()
        self.reads: list[str] = []
        self.is_down = False
        self.others: list[object] = []
        """What else stands among its keys."""
        self.rotate()

    def rotate(self) -> None:
        self.key = RSAKey.generate_key(
            2048, {"kid": f"k{len(self.reads)}-{id(self) % 997}", "use": "sig", "alg": "RS256"}
        )

    async def fetch(self, uri: str) -> bytes:
        self.reads.append(uri)
        if self.is_down:
            raise Unavailable("down")
        if uri.endswith("/.well-known/openid-configuration"):
            return msgspec.json.encode({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/certs"})
        assert uri == f"{ISSUER}/certs"
        return msgspec.json.encode({"keys": [*self.others, self.key.as_dict(private=False)]})

    def token(self, key=None, alg="RS256", **more):
        now = self.clock.now() // 1000
        claims = {
            "iss": ISSUER,
            "aud": "perdure",
            "sub": "u-1",
            "exp": now + 60,
            "realm_access": {"roles": ["perdure-editor"]},
        }
        key = key or self.key
        return jwt.encode({"alg": alg, "kid": key.kid}, claims | more, key, algorithms=[alg])

    def providers(self, **more):
        provider = Provider(**{"issuer": ISSUER, "audience": "perdure", "tenant": "acme"} | more)
        return Providers((provider,), self.fetch, self.clock)


async def test_a_providers_token_says_who_and_what(identity):
    other = OtherProvider()
    who = Who(identity.keys, identity.sessions, identity.tokens, other.providers())
    assert await who.by_token(other.token()) is None, "there is no such tenant"
    await identity.tenants.create(somebody(), "acme", "Acme")
    caller = await who.by_token(other.token())
    assert (caller.tenant, caller.subject) == ("acme", f"{ISSUER}#u-1")
    assert caller.roles == {"viewer", "operator", "editor"}
    assert await who.by_token("x" * 20_000) is None
    await identity.tenants.disable(somebody(), "acme", disabled=True)
    assert await who.by_token(other.token()) is None


@pytest.mark.parametrize(("claims", "email"), [
    ({"email": "Ana@Example.com", "email_verified": True}, "ana@example.com"), ({"email": "ana@example.com"}, ""),
    ({"email": "ana@example.com", "email_verified": "true"}, ""), ({"email": 7, "email_verified": True}, ""),
])  # fmt: skip
async def test_an_address_counts_only_when_the_provider_has_verified_it(claims, email):
    other = OtherProvider()
    assert (await other.providers().verify(ISSUER, other.token(**claims))).email == email


DEEP = "[" * 6000 + "]" * 6000


@pytest.mark.parametrize("head", ['{"alg":[]}', '{"alg":{}}', '{"alg":"ES256","kid":[1]}', '{"alg":"ES256","kid":{"a":1}}', "[]", "7",
                                  '{"alg":"ES256","crit":["x"]}', '{"alg":"ES256","b64":false}', '{"a":' + DEEP + "}", DEEP, '{"alg":"ES256"}'])  # fmt: skip
@pytest.mark.parametrize("issuer", ["https://perdure.example", ISSUER, "nobody"])
async def test_no_text_is_more_than_a_stranger(identity, head, issuer):
    other = OtherProvider()
    who = Who(identity.keys, identity.sessions, identity.tokens, other.providers())
    for body in (
        f'{{"iss":"{issuer}"}}',
        f'{{"iss":"{issuer}","aud":{{}},"exp":[]}}',
        DEEP,
        f'{{"iss":"{issuer}","x":{DEEP}}}',
    ):
        for signature in ("AAAA", "", "?"):
            assert await who.by_token(f"{plain(head.encode())}.{plain(body.encode())}.{signature}") is None


@pytest.mark.parametrize("claims", [
    {"iss": "https://login.example/realms/acme2"}, {"aud": "other"}, {"aud": ["other"]}, {"exp": 1}, {"exp": "never"},
    {"nbf": 2**40}, {"typ": "ID"}, {"typ": "Refresh"}, {"sub": ""}, {"sub": 7}, {"realm_access": {"roles": ["nothing"]}}, {"realm_access": "editor"},
])  # fmt: skip
async def test_a_claim_that_is_not_right_proves_nothing(claims):
    other = OtherProvider()
    assert await other.providers().verify(ISSUER, other.token(**claims)) is None


async def test_a_public_key_is_no_shared_secret():
    other = OtherProvider()
    claims = {"iss": ISSUER, "aud": "perdure", "sub": "u", "exp": other.clock.now() // 1000 + 60, "roles": ["owner"]}
    parts = [plain(msgspec.json.encode(part)) for part in ({"alg": "HS256", "kid": other.key.kid}, claims)]
    sign = hmac.digest(other.key.as_pem(private=False), ".".join(parts).encode(), "sha256")
    assert await other.providers().verify(ISSUER, ".".join([*parts, plain(sign)])) is None


def plain(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


async def test_a_new_key_of_the_provider_is_found_and_strangers_do_not_make_us_ask_for_ever():
    other = OtherProvider()
    providers = other.providers()
    assert await providers.verify(ISSUER, other.token())
    other.rotate()
    assert await providers.verify(ISSUER, other.token()) is None, "asked a moment ago"
    other.clock.jump(11)
    assert await providers.verify(ISSUER, other.token())
    reads = len(other.reads)
    stranger = RSAKey.generate_key(2048, {"kid": "stranger"})
    other.clock.jump(11)
    for _ in range(20):
        assert await providers.verify(ISSUER, other.token(stranger)) is None
    assert len(other.reads) == reads + 2


async def test_a_provider_that_is_down_harms_only_who_has_no_keys_yet():
    other = OtherProvider()
    other.is_down = True
    providers = other.providers()
    with pytest.raises(Unavailable):
        await providers.verify(ISSUER, other.token())
    other.is_down = False
    other.clock.jump(11)
    assert await providers.verify(ISSUER, other.token())
    other.is_down = True
    other.clock.jump(2 * 3600)
    assert await providers.verify(ISSUER, other.token())
    other.clock.jump(24 * 3600)
    with pytest.raises(Unavailable):
        await providers.verify(ISSUER, other.token())


async def test_a_key_that_a_provider_took_back_ends_within_minutes():
    other = OtherProvider()
    providers, old = other.providers(), other.token(exp=2**40)
    assert await providers.verify(ISSUER, old)
    other.rotate()
    other.clock.jump(301)
    assert await providers.verify(ISSUER, old) is None


@pytest.mark.parametrize(
    "other_key",
    [{"kty": "AKP", "alg": "ML-DSA-65", "kid": "pq", "pub": "AAAA"}, {"kty": "OKP", "crv": "X449", "kid": "o", "x": "AA"}, {},
     {"kty": "RSA", "use": "enc", "kid": "e", "n": "!"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, "nonsense", None],
)  # fmt: skip
async def test_a_key_of_a_kind_that_we_do_not_know_keeps_no_other_out(other_key):
    """RFC 7517, 5. Else a provider that adds one shuts everybody out, and one that was taken back stays good for a day."""
    other = OtherProvider()
    providers, old = other.providers(), other.token(exp=2**40)
    assert await providers.verify(ISSUER, old)
    other.rotate()
    other.others = [other_key]
    other.clock.jump(301)
    assert await providers.verify(ISSUER, other.token())
    assert await providers.verify(ISSUER, old) is None


async def test_a_key_for_something_else_verifies_nothing():
    other = OtherProvider()
    sealing = RSAKey.generate_key(2048, {"kid": "enc"})
    other.others = [sealing.as_dict(private=False) | {"use": "enc"}]
    providers = other.providers()
    assert await providers.verify(ISSUER, other.token())
    assert await providers.verify(ISSUER, other.token(sealing)) is None


async def test_a_slow_provider_keeps_nobody_waiting_whose_key_is_known():
    other = OtherProvider()
    providers, good = other.providers(), other.token()
    assert await providers.verify(ISSUER, good)
    other.clock.jump(11)
    gate, asked = asyncio.Event(), asyncio.Event()
    fetch = other.fetch

    async def slow(uri: str) -> bytes:
        asked.set()
        await gate.wait()
        return await fetch(uri)

    providers._trusted[ISSUER]._fetch = slow
    stranger = asyncio.create_task(providers.verify(ISSUER, other.token(RSAKey.generate_key(2048, {"kid": "s"}))))
    await asked.wait()
    async with asyncio.timeout(5):
        assert await providers.verify(ISSUER, good)
    gate.set()
    assert await stranger is None


@pytest.mark.parametrize(("more", "claims", "role"), [
    ({}, {"realm_access": {"roles": ["viewer", "perdure-admin"]}}, "admin"),
    ({}, {"realm_access": {}, "resource_access": {"perdure": {"roles": ["operator"]}}}, "operator"),
    ({"audience": "app.example"}, {"aud": "app.example", "realm_access": {}, "resource_access": {"app.example": {"roles": ["viewer"]}}}, "viewer"),
    ({}, {"realm_access": {}, "groups": ["perdure-editor"]}, "editor"),
    ({"default_role": "viewer"}, {"realm_access": {"roles": ["admin"]}, "groups": ["owner"]}, "viewer"),
    ({}, {"realm_access": {}, "roles": ["editor"]}, "editor"),
    ({"roles": {"flow-boss": "owner"}}, {"realm_access": {"roles": ["flow-boss"]}}, "owner"),
    ({"default_role": "viewer"}, {"realm_access": {}}, "viewer"),
])  # fmt: skip
async def test_roles_come_from_the_claims(more, claims, role):
    other = OtherProvider()
    assert (await other.providers(**more).verify(ISSUER, other.token(**claims))).roles == held(role)


async def test_a_tenant_may_come_from_a_claim_but_never_all_of_them():
    other = OtherProvider()
    providers = other.providers(tenant="", tenant_claim="org.id")
    assert (await providers.verify(ISSUER, other.token(org={"id": "acme"}))).tenant == "acme"
    assert await providers.verify(ISSUER, other.token(org={"id": "*"})) is None
    assert await providers.verify(ISSUER, other.token()) is None
