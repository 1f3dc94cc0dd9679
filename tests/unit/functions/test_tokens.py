"""Access tokens: grants, client authentication, checks, lifetime, one request for many callers."""

import asyncio

import pytest
from aiohttp import web

from perdure.functions import tokens
from perdure.functions.assertions import read_claims
from perdure.functions.tokens import EXCHANGE, Tokens
from perdure.ports.function import FunctionFault
from tests.servers.authority import Authority, jwt
from tests.servers.calls import context, handle
from tests.servers.recorder import recording

CLIENT = {"id": "the-client", "secret": "the-secret"}


@pytest.fixture
def authority():
    return Authority()


@pytest.fixture
async def server(authority):
    async with recording(authority.answer) as running:
        yield running


@pytest.fixture
def kept(egress, clock):
    return Tokens(egress, clock)


def policy(server, grant="client_credentials", **more):
    return {"authority": server.url, "grant": grant, "client": CLIENT, **more}


async def failing(kept, scheme, settings, secrets=None):
    with pytest.raises(FunctionFault) as caught:
        await kept.get(scheme, settings, context(secrets))
    assert caught.value.problem["type"].endswith("/authentication")
    assert (caught.value.problem["status"], caught.value.outcome) == (401, "definite")
    return caught.value.problem["detail"]


@pytest.mark.parametrize(
    ("grant", "more", "fields"),
    [
        ("client_credentials", {}, {}),
        ("client_credentials", {"scopes": ["a", "b"], "audiences": ["x"]}, {"scope": "a b", "audience": "x"}),
        ("client_credentials", {"audiences": ["x", "y"]}, {"audience": ["x", "y"]}),
        ("password", {"username": "u", "password": "p"}, {"username": "u", "password": "p"}),
        ("refresh_token", {"subject": {"token": "r", "type": "t"}}, {"refresh_token": "r"}),
        ("refresh_token", {"refresh_token": "r"}, {"refresh_token": "r"}),
        (
            "authorization_code",
            {"code": "c", "redirectUri": "https://a/", "code_verifier": "v"},
            {"code": "c", "redirect_uri": "https://a/", "code_verifier": "v"},
        ),
        (
            EXCHANGE,
            {"subject": {"token": "s", "type": "urn:x"}, "actor": {"token": "a"}},
            {
                "subject_token": "s",
                "subject_token_type": "urn:x",
                "actor_token": "a",
                "actor_token_type": "urn:ietf:params:oauth:token-type:access_token",
            },
        ),
    ],
)
@pytest.mark.parametrize("encoding", ["application/x-www-form-urlencoded", "application/json"])
async def test_each_grant_sends_its_fields(authority, server, kept, grant, more, fields, encoding):
    token = await kept.get("oauth2", policy(server, grant, request={"encoding": encoding}, **more), context())
    assert token.header == "Bearer token-1"
    assert authority.requests == [
        {"grant_type": grant, "client_id": "the-client", "client_secret": "the-secret", **fields}
    ]
    assert authority.asked[0].target == "/oauth2/token"
    assert authority.asked[0].headers["content-type"] == encoding


async def test_each_client_authentication(authority, server, kept, clock):
    for method in ("client_secret_basic", "client_secret_jwt", "none", "private_key_jwt"):
        client = {**CLIENT, "authentication": method}
        if method == "private_key_jwt":
            client = {"id": "the-client", "assertion": "made.elsewhere.x", "authentication": method}
        await kept.get("oauth2", policy(server) | {"client": client}, context())
    basic, signed, none, given = authority.requests
    assert basic == {"grant_type": "client_credentials"}
    assert authority.asked[0].headers["authorization"] == "Basic dGhlLWNsaWVudDp0aGUtc2VjcmV0"
    said = read_claims(signed["client_assertion"])
    assert (said["iss"], said["aud"], said["iat"]) == ("the-client", f"{server.url}/oauth2/token", clock.now() // 1000)
    assert signed["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert none == {"grant_type": "client_credentials", "client_id": "the-client"}
    assert given["client_assertion"] == "made.elsewhere.x"


@pytest.mark.parametrize(
    ("path", "target"),
    [("/auth/token", "/realms/a/auth/token"), ("token", "/realms/a/token"), ("{url}/other/token", "/other/token")],
)
async def test_the_token_endpoint_is_below_the_authority(authority, server, kept, path, target):
    settings = policy(server) | {"authority": f"{server.url}/realms/a/"}
    settings["endpoints"] = {"token": path.replace("{url}", server.url)}
    await kept.get("oauth2", settings, context())
    assert authority.asked[0].target == target


async def test_discovery_finds_the_token_endpoint_once(authority, server, kept, clock):
    settings = policy(server) | {"authority": f"{server.url}/realms/a"}
    await kept.get("oidc", settings, context())
    await kept.get("oidc", settings | {"scopes": ["x"]}, context())
    targets = ["/realms/a/.well-known/openid-configuration", "/discovered/token", "/discovered/token"]
    assert [asked.target for asked in authority.asked] == targets
    clock.advance(3_601)
    await kept.get("oidc", settings | {"scopes": ["y"]}, context())
    assert len(authority.asked) == 5


async def test_discovery_must_name_the_authority_as_issuer(authority, server, kept):
    authority.issuer = "https://evil.example"
    assert "names the issuer 'https://evil.example'" in await failing(kept, "oidc", policy(server))
    await kept.get("oidc", policy(server, issuers=["https://evil.example/"]), context())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"status": 404}, "answered 404"),
        ({"text": "[]"}, "not an OpenID configuration"),
        ({"text": "{"}, "not an OpenID configuration"),
        ({"text": '{"issuer": "{url}"}'}, "no token_endpoint"),
    ],
)
async def test_a_broken_discovery_is_told(kept, body, said):
    def answer(asked):
        text = body.get("text", "").replace("{url}", f"http://{asked.headers['host']}")
        return web.Response(status=body.get("status", 200), text=text)

    async with recording(answer) as broken:
        assert said in await failing(kept, "oidc", policy(broken))


async def test_a_token_is_kept_until_shortly_before_its_end(authority, server, kept, clock):
    first = await kept.get("oauth2", policy(server), context())
    clock.advance(269)
    second = await kept.get("oauth2", policy(server), context())
    assert (first.header, first.is_new, second.header, second.is_new) == (
        "Bearer token-1",
        True,
        "Bearer token-1",
        False,
    )
    clock.advance(2)
    assert (await kept.get("oauth2", policy(server), context())).header == "Bearer token-2"
    assert repr(kept) == "Tokens(1 kept, 0 being asked for)"


@pytest.mark.parametrize("said", [None, "soon"])
async def test_a_token_without_a_lifetime_is_kept_for_a_minute(authority, server, kept, clock, said):
    authority.more = {"expires_in": said}
    await kept.get("oauth2", policy(server), context())
    clock.advance(53)
    assert not (await kept.get("oauth2", policy(server), context())).is_new
    clock.advance(2)
    assert (await kept.get("oauth2", policy(server), context())).is_new


async def test_tokens_belong_to_policy_secret_and_tenant(authority, server, kept):
    settings = policy(server) | {"client": {"id": "a", "secret": handle("s")}}
    for secret, tenant in (("one", "t1"), ("one", "t1"), ("two", "t1"), ("one", "t2")):
        await kept.get("oauth2", settings, context({"s": secret}, tenant=tenant))
    assert [fields["client_secret"] for fields in authority.requests] == ["one", "two", "one"]


async def test_a_whole_policy_may_be_a_secret(authority, server, kept):
    await kept.get("oauth2", handle("s"), context({"s": policy(server)}))
    await kept.get("oauth2", {"use": handle("s")}, context({"s": policy(server)}))
    assert len(authority.requests) == 1


async def test_many_callers_make_one_request(authority, server, kept):
    got = await asyncio.gather(*(kept.get("oauth2", policy(server), context()) for _ in range(20)))
    assert {token.header for token in got} == {"Bearer token-1"}
    assert len(authority.requests) == 1


async def test_a_caller_that_leaves_takes_nobody_along(server, kept, authority):
    first = asyncio.ensure_future(kept.get("oauth2", policy(server), context()))
    second = asyncio.ensure_future(kept.get("oauth2", policy(server), context()))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).header.startswith("Bearer token-")


async def test_a_refresh_token_is_used_and_rotated(authority, server, kept, clock):
    authority.more = {"refresh_token": "r1"}
    settings = policy(server, "authorization_code", code="c")
    await kept.get("oauth2", settings, context())
    authority.more = {"refresh_token": "r2"}
    clock.advance(300)
    await kept.get("oauth2", settings, context())
    authority.more = {}
    clock.advance(300)
    await kept.get("oauth2", settings, context())
    clock.advance(300)
    authority.refuse = {"refresh_token"}
    await kept.get("oauth2", settings, context())
    assert [fields.get("refresh_token") for fields in authority.requests] == [None, "r1", "r2", "r2", None]


@pytest.mark.parametrize(
    ("token", "issuers", "accepted"),
    [
        (jwt({"iss": "https://a"}), ["https://a"], True),
        (jwt({"iss": "https://b"}), ["https://a"], False),
        (jwt({}), ["https://a"], False),
        (jwt({"iss": "https://b"}), [], True),
        ("opaque", ["https://a"], True),
    ],
)
async def test_the_issuer_of_a_token_is_checked(authority, server, kept, token, issuers, accepted):
    authority.more = {"access_token": token}
    if accepted:
        await kept.get("oauth2", policy(server, issuers=issuers), context())
    else:
        assert "none of `issuers`" in await failing(kept, "oauth2", policy(server, issuers=issuers))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"access_token": None}, "no access token in the answer"),
        ({"access_token": "a\nb"}, "no header may hold"),
        ({"token_type": "mac"}, "type 'mac'"),
    ],
)
async def test_answers_that_hold_no_usable_token(authority, server, kept, more, said):
    authority.more = more
    assert said in await failing(kept, "oauth2", policy(server))


async def test_a_refusal_is_told_without_secrets(authority, server, kept):
    authority.refuse = {"client_credentials"}
    detail = await failing(kept, "oauth2", policy(server))
    assert "/oauth2/token answered 400: no such grant." in detail

    def echo(asked):
        return web.json_response({"error": asked.body.decode()}, status=401)

    async with recording(echo) as echoing:
        settings = policy(echoing) | {"client": {"id": "a", "secret": handle("s")}}
        assert "sup3rsecret" not in await failing(kept, "oauth2", settings, {"s": "sup3rsecret"})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("x", "must be an object"),
        ({"grant": "client_credentials"}, "authority"),
        ({"authority": "http://127.0.0.1:8080", "grant": "implicit"}, "must be one of"),
        ({"authority": "http://127.0.0.1:8080", "grant": "password"}, "username"),
        ({"authority": "http://127.0.0.1:8080", "grant": "refresh_token"}, "subject.token"),
        ({"authority": "http://127.0.0.1:8080", "grant": EXCHANGE}, "subject.token"),
        (
            {"authority": "http://127.0.0.1:8080", "grant": "client_credentials", "request": {"encoding": "x"}},
            "encoding",
        ),
        (
            {"authority": "http://127.0.0.1:8080", "grant": "client_credentials", "client": {"authentication": "x"}},
            "client.authentication",
        ),
        (
            {
                "authority": "http://127.0.0.1:8080",
                "grant": "client_credentials",
                "client": {"authentication": "client_secret_jwt"},
            },
            "client.assertion",
        ),
        (
            {
                "authority": "http://127.0.0.1:8080",
                "grant": "client_credentials",
                "client": {"id": "a", "secret": "no key", "authentication": "private_key_jwt"},
            },
            "private key",
        ),
        ({"authority": "http://127.0.0.1:8080", "grant": "client_credentials", "endpoints": {"token": 3}}, "path"),
        ({"authority": "http://10.0.0.1", "grant": "client_credentials"}, "PERDURE_EGRESS_ALLOW"),
    ],
)
async def test_policies_that_cannot_work_are_told(kept, settings, said):
    assert said in await failing(kept, "oauth2", settings)


async def test_so_many_tokens_are_kept_and_no_more(authority, server, kept, clock, monkeypatch):
    monkeypatch.setattr(tokens, "_KEPT", 2)
    for scope in ("a", "b", "c"):
        await kept.get("oauth2", policy(server, scopes=[scope]), context())
    assert repr(kept) == "Tokens(2 kept, 0 being asked for)"
    clock.advance(300)
    await kept.get("oauth2", policy(server, scopes=["d"]), context())
    assert repr(kept) == "Tokens(1 kept, 0 being asked for)"
