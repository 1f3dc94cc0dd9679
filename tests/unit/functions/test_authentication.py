"""Every authentication policy against a local server (language.md E5, E6)."""

import base64

import pytest
from aiohttp import web

from perdure.functions import digest
from perdure.functions.authentication import Authenticator, host_of
from perdure.ports.function import FunctionFault
from tests.servers.authority import Authority
from tests.servers.calls import context, handle
from tests.servers.recorder import recording


def call(uri, policy):
    return {"method": "get", "endpoint": {"uri": uri, "authentication": policy}}


@pytest.mark.parametrize(
    ("policy", "secrets", "sent"),
    [
        ({"basic": {"username": "a", "password": "b"}}, {}, "Basic YTpi"),
        ({"basic": {"username": handle("u"), "password": handle("p")}}, {"u": "a", "p": "b"}, "Basic YTpi"),
        ({"basic": handle("s")}, {"s": {"username": "ä", "password": "b"}}, "Basic w6Q6Yg=="),
        ({"basic": {"use": handle("s")}}, {"s": {"username": "a", "password": "b"}}, "Basic YTpi"),
        ({"bearer": {"token": "t"}}, {}, "Bearer t"),
        ({"bearer": handle("s")}, {"s": {"token": "t"}}, "Bearer t"),
        ({"bearer": handle("s")}, {"s": "t"}, "Bearer t"),
    ],
)
async def test_fixed_credentials(http, policy, secrets, sent):
    async with recording() as server:
        await http.execute(call(server.url, policy), context(secrets))
        await http.execute({**call(server.url, policy), "headers": {"authorization": "mine"}}, context(secrets))
    assert [asked.headers["authorization"] for asked in server.asked] == [sent, sent]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({}, "exactly one"),
        ([], "exactly one"),
        ({"basic": {}, "bearer": {}}, "exactly one"),
        ({"use": "named"}, "names no scheme"),
        ({"basic": {"username": "a"}}, "`basic` needs"),
        ({"digest": "x"}, "`digest` needs"),
        ({"bearer": {}}, "`bearer` needs"),
    ],
)
async def test_policies_that_do_not_fit_are_validation_faults(http, policy, said):
    with pytest.raises(FunctionFault, match=said) as caught:
        await http.execute(call("http://127.0.0.1:8080/", policy), context())
    assert caught.value.problem["status"] == 400


class DigestServer:
    """Checks digest answers as RFC 7616 asks; may call the first nonces stale."""

    def __init__(self, stale=0, algorithm="SHA-256", quality="auth"):
        self.stale = stale
        self.algorithm = algorithm
        self.quality = quality
        self.count = 0

    def answer(self, asked):
        said = asked.headers.get("authorization")
        if said is not None and self.stale == 0:
            given = digest.challenges(said)[0][1]
            challenge = self._challenge()
            expected = digest.answer(
                challenge, ("u", "p"), asked.method, asked.target, body=asked.body, cnonce=given.get("cnonce", "")
            )
            right = digest.challenges(expected)[0][1]["response"] == given["response"]
            return web.json_response({"right": right}, status=200 if right else 401)
        stale = said is not None
        self.stale -= 1 if stale else 0
        fields = {**self._challenge(), **({"stale": "true"} if stale else {})}
        escaped = {name: value.replace('"', '\\"') for name, value in fields.items()}
        text = ", ".join(f'{name}="{value}"' for name, value in escaped.items())
        return web.Response(status=401, headers={"WWW-Authenticate": f'Basic realm="x", Digest {text}'})

    def _challenge(self):
        return {"realm": "r", "nonce": "n", "algorithm": self.algorithm, "qop": self.quality, "opaque": 'o"'}


@pytest.mark.parametrize("algorithm", ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256"])
@pytest.mark.parametrize("quality", ["auth", "auth-int"])
async def test_digest(http, algorithm, quality):
    async with recording(DigestServer(algorithm=algorithm, quality=quality).answer) as server:
        arguments = call(f"{server.url}/a%20b?x=1", {"digest": {"username": "u", "password": "p"}})
        assert await http.execute({**arguments, "method": "post", "body": {"a": 1}}, context()) == {"right": True}
    assert len(server.asked) == 2
    assert server.asked[1].body == b'{"a":1}'


@pytest.mark.parametrize(("stale", "asked", "status"), [(1, 3, 200), (3, 3, 401)])
async def test_a_stale_nonce_is_tried_once_more(http, stale, asked, status):
    async with recording(DigestServer(stale=stale).answer) as server:
        arguments = call(server.url, {"digest": {"username": "u", "password": "p"}})
        if status == 200:
            await http.execute(arguments, context())
        else:
            with pytest.raises(FunctionFault, match="401"):
                await http.execute(arguments, context())
    assert len(server.asked) == asked


async def test_a_wrong_password_is_not_tried_again(http):
    async with recording(DigestServer().answer) as server:
        with pytest.raises(FunctionFault, match="401"):
            await http.execute(call(server.url, {"digest": {"username": "u", "password": "no"}}), context())
    assert len(server.asked) == 2


async def test_without_a_challenge_there_is_nothing_to_answer(http):
    async with recording() as server:
        await http.execute(call(server.url, {"digest": {"username": "u", "password": "p"}}), context())
    assert len(server.asked) == 1


async def test_a_401_drops_the_kept_token_once(http):
    authority = Authority()
    async with recording(authority.answer) as server:
        policy = {
            "oauth2": {"authority": server.url, "grant": "client_credentials", "client": {"id": "a", "secret": "b"}}
        }
        for revoked in (set(), set(), {"token-1"}):
            authority.revoked = revoked
            answer = await http.execute(call(f"{server.url}/x", policy), context())
            assert answer == {"token": "***"}, "what came in exchange for a secret is one too"
        used = [asked.headers["authorization"] for asked in server.asked if asked.target == "/x"]
        assert used == ["Bearer token-1", "Bearer token-1", "Bearer token-1", "Bearer token-2"]
        authority.revoked = {"token-2", "token-3"}
        with pytest.raises(FunctionFault) as caught:
            await http.execute(call(f"{server.url}/x", policy), context())
    assert caught.value.problem["status"] == 401
    assert caught.value.problem["type"].endswith("/communication")
    assert len(authority.requests) == 3


async def test_a_fresh_token_that_is_refused_is_not_asked_for_again(http):
    authority = Authority()
    authority.revoked = {"token-1"}
    async with recording(authority.answer) as server:
        policy = {
            "oauth2": {"authority": server.url, "grant": "client_credentials", "client": {"id": "a", "secret": "b"}}
        }
        with pytest.raises(FunctionFault):
            await http.execute(call(f"{server.url}/x", policy), context())
    assert len(authority.requests) == 1


async def test_a_refused_address_hides_a_secret_in_it(http):
    address = {"$perdure.parts": ["http://10.0.0.1/", handle("s")]}
    with pytest.raises(FunctionFault) as caught:
        await http.execute({"method": "get", "endpoint": {"uri": address}}, context({"s": "s3cret"}))
    assert "s3cret" not in str(caught.value.problem)


def test_hosts_of_addresses(clock, egress):
    assert host_of("https://API.example:8/x") == "api.example"
    assert host_of("http://[::1]/") == "::1"
    assert host_of("http://[::1/") == host_of("x") == ""
    assert repr(Authenticator(egress, clock)) == "Authenticator(Tokens(0 kept, 0 being asked for))"
    assert base64.b64decode("YTpi") == b"a:b"
