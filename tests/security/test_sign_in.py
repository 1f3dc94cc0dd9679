"""S14 and the rest of signing in over HTTP: nothing that is empty, old, used, foreign or odd opens anything."""

import re
import secrets
import statistics
import time

import pyotp
import pytest

PASSWORD = "correct horse 9 staple"
API = "/api/v1"


@pytest.fixture
def mail(served) -> str:
    """A new user of the home tenant."""
    address = f"{secrets.token_hex(6)}@example.com"
    given = {"email": address, "role": "editor", "password": PASSWORD}
    assert served.ask("POST", f"{API}/users", json=given).status == 201
    return address


def login(served, mail, password=PASSWORD, **more):
    return served.ask("POST", f"{API}/auth/login", key=None, json={"email": mail, "password": password, **more})


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def me(served, **headers):
    return served.ask("GET", f"{API}/me", key=None, headers=headers)


HOSTILE = [
    "pdk_", "pdk_ ", "pdk_%00", "pdk_' OR '1'='1", "pdk_\" OR 1=1 --", "pdk_';DROP TABLE keys;--", "pdk_*", "pdk_%", "pdk__" * 20,
    "pdk_" + "A" * 43, "pdk_" + "A" * 96, "pdk_" + "A" * 8000, "x" * 43, "PDK_" + "A" * 43, "pdk_\xe9\xff", "null", "undefined", "0", "[]", "{}",
    "pdr_" + "A" * 43, "pds_" + "A" * 43, "a.b.c", "..", "$2b$12$x",
]  # fmt: skip


def test_hostile_keys_are_nobody_and_take_as_long_as_any(served):
    """A key that is off by its last letter, one that is none at all: the median of each is of the same size."""
    off = served.key[:-2] + ("AA" if not served.key.endswith("AA") else "BB")
    times: dict[str, list[float]] = {}
    for _ in range(9):
        for shown in (off, *HOSTILE):
            begun = time.perf_counter()
            answer = served.ask("GET", f"{API}/me", key=None, headers={"x-api-key": shown})
            times.setdefault(shown, []).append(time.perf_counter() - begun)
            assert answer.status == 401, (shown, answer)
            assert shown[4:] not in answer.body.decode() or len(shown) < 12
    medians = {shown: statistics.median(found) for shown, found in times.items()}
    assert max(medians.values()) < 6 * medians[off] + 0.02, medians
    assert medians[off] < 6 * min(medians.values()) + 0.02, medians


@pytest.mark.parametrize(
    "token", [None, "", " ", 0, [], {}, "pdr_", "pdr_" + "A" * 43, "pds_" + "A" * 43, "x" * 10_000]
)
def test_no_refresh_token_is_none(served, token):
    answer = served.ask("POST", f"{API}/auth/refresh", key=None, json={"refresh_token": token})
    assert answer.status in {401, 422}, answer


@pytest.mark.parametrize("headers", [
    {"authorization": "Bearer"}, {"authorization": "Bearer "}, {"authorization": "Bearer null"}, {"authorization": "Basic YTpi"},
    {"authorization": ""}, {"x-api-key": ""}, {"cookie": "__Host-perdure="}, {"cookie": "__Host-perdure=null"},
    {"cookie": "perdure=x"}, {"authorization": "Bearer " + "[" * 4000 + ".W10.x"},
    {"authorization": "Bearer e30.W1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tb" + "W1tb" * 3000 + ".x"},
])  # fmt: skip
def test_nothing_is_nobody(served, headers):
    assert me(served, **headers).status == 401


def test_a_token_of_one_kind_is_none_of_another(served, mail):
    made = login(served, mail).json
    access, refresh = made["access_token"], made["refresh_token"]
    assert me(served, **bearer(access)).status == 200
    for headers in (
        bearer(refresh),
        {"x-api-key": refresh},
        {"x-api-key": access},
        {"cookie": f"__Host-perdure={refresh}"},
    ):
        assert me(served, **headers).status == 401
    assert (
        served.ask("POST", f"{API}/auth/refresh", key=None, json={"refresh_token": "pdr_" + served.key[4:]}).status
        == 401
    )
    assert me(served, **bearer(re.sub(r"\.[^.]+$", ".", access))).status == 401


def cookie_of(answer) -> str:
    return re.search(r"__Host-perdure=([^;]+)", answer.headers["set-cookie"])[1]


def test_a_session_that_somebody_chose_is_not_taken_over(served, mail):
    chosen = "pds_" + secrets.token_urlsafe(32)
    shown = {"email": mail, "password": PASSWORD}
    answer = served.ask(
        "POST", f"{API}/auth/session", key=None, json=shown, headers={"cookie": f"__Host-perdure={chosen}"}
    )
    assert answer.status == 204
    made = cookie_of(answer)
    assert made != chosen
    assert {"secure", "httponly", "samesite=strict", "path=/"} <= {
        part.strip().lower() for part in answer.headers["set-cookie"].split(";")
    }
    assert me(served, cookie=f"__Host-perdure={chosen}").status == 401
    assert me(served, cookie=f"__Host-perdure={made}").status == 200
    again = cookie_of(served.ask("POST", f"{API}/auth/session", key=None, json=shown))
    assert again != made


def test_no_page_of_another_site_signs_somebody_in_or_out(served, mail):
    shown = {"email": mail, "password": PASSWORD}
    for foreign in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        answer = served.ask("POST", f"{API}/auth/session", key=None, json=shown, headers=foreign)
        assert answer.status == 403, (foreign, answer)
        assert "set-cookie" not in answer.headers
    cookie = {"cookie": "__Host-perdure=" + cookie_of(served.ask("POST", f"{API}/auth/session", key=None, json=shown))}
    assert served.ask("POST", f"{API}/auth/logout", key=None, json={}, headers=cookie).status == 403
    token = me(served, **cookie).headers["x-csrf-token"]
    other = {"email": mail, "password": PASSWORD}
    theirs = {"cookie": "__Host-perdure=" + cookie_of(served.ask("POST", f"{API}/auth/session", key=None, json=other))}
    wrong = served.ask("POST", f"{API}/auth/logout", key=None, json={}, headers={**theirs, "x-csrf-token": token})
    assert wrong.status == 403, "a token of another session"
    right = served.ask("POST", f"{API}/auth/logout", key=None, json={}, headers={**cookie, "x-csrf-token": token})
    assert right.status == 204


def test_a_code_counts_once(served, mail):
    token = bearer(login(served, mail).json["access_token"])
    address = served.ask("POST", f"{API}/me/totp", key=None, headers=token).json["address"]
    totp = pyotp.TOTP(re.search(r"secret=(\w+)", address)[1])
    code = totp.now()
    assert served.ask("POST", f"{API}/me/totp/confirm", key=None, headers=token, json={"code": code}).status == 204
    assert login(served, mail).json["details"] == {"code": "totp-required"}
    assert login(served, mail, code=code).status == 401, "it was shown to confirm"
    next_code = totp.at(int(time.time()) + 30)
    first, second = login(served, mail, code=next_code), login(served, mail, code=next_code)
    assert (first.status, second.status) == (200, 401)


def test_a_new_password_ends_every_session(served, mail):
    made = login(served, mail).json
    cookie = cookie_of(served.ask("POST", f"{API}/auth/session", key=None, json={"email": mail, "password": PASSWORD}))
    change = {"password": "another horse 9 staple", "current": PASSWORD}
    answer = served.ask("POST", f"{API}/me/password", key=None, headers=bearer(made["access_token"]), json=change)
    assert answer.status == 204
    assert (
        served.ask("POST", f"{API}/auth/refresh", key=None, json={"refresh_token": made["refresh_token"]}).status == 401
    )
    assert login(served, mail).status == 401
    until = time.monotonic() + 12
    shown = [bearer(made["access_token"]), {"cookie": f"__Host-perdure={cookie}"}]
    while any(me(served, **headers).status != 401 for headers in shown):
        assert time.monotonic() < until, "a session outlived its password"
        time.sleep(0.2)


def test_who_has_no_account_hears_what_who_has_one_hears(served, mail):
    answers = {}
    for address in (mail, "nobody@example.com", "no address", ""):
        answer = login(served, address, "wrong horse")
        answers[address] = answer.status, re.sub(r'"request":"[^"]+"', "", answer.body.decode())
    assert len(set(answers.values())) == 1, answers
    assert answers[mail][0] == 401
    other = served.ask(
        "POST", f"{API}/auth/login", key=None, json={"tenant": "nowhere", "email": mail, "password": "x"}
    )
    assert (other.status, re.sub(r'"request":"[^"]+"', "", other.body.decode())) == answers[mail]
