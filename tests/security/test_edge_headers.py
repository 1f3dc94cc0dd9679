"""S11: fixed headers on every kind of answer, cookies that scripts and other sites cannot use, no CORS by default."""

import http.cookies

import pytest

PASSWORD = "correct horse battery staple 9"
FIXED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
}
KINDS = [
    ("GET", "/api/v1/me", {}, 200),
    ("GET", "/api/v1/me", {"key": None}, 401),
    ("GET", "/nothing", {}, 404),
    ("PUT", "/api/v1/me", {}, 405),
    ("POST", "/api/v1/keys", {"body": b"x", "headers": {"content-type": "text/plain"}}, 415),
    ("POST", "/api/v1/keys", {"json": {}}, 422),
    ("POST", "/api/v1/keys", {"body": b"{", "headers": {"content-type": "application/json"}}, 400),
    (
        "POST",
        "/api/v1/workflows",
        {"body": b"x", "headers": {"content-type": "application/yaml", "content-length": "999999999"}},
        413,
    ),
    ("GET", "/health/live", {"key": None}, 200),
    ("GET", "/metrics", {"key": None}, 200),
    ("GET", "/api/v1/openapi.json", {"key": None}, 200),
    ("HEAD", "/api/v1/me", {}, 200),
    ("OPTIONS", "/api/v1/me", {"key": None, "headers": {"origin": "http://evil.test"}}, 405),
]


@pytest.fixture(scope="module")
def browser(served) -> dict[str, str]:
    """The headers of a browser that signed in: its cookie, and the token that answers to reads carry."""
    user = {"email": "browser@example.com", "role": "editor", "password": PASSWORD}
    assert served.ask("POST", "/api/v1/users", json=user).status == 201
    given = {"email": user["email"], "password": PASSWORD}
    answer = served.ask("POST", "/api/v1/auth/session", key=None, json=given)
    assert answer.status == 204, answer
    jar = http.cookies.SimpleCookie(answer.headers["set-cookie"])
    [(name, cookie)] = jar.items()
    assert name.startswith("__Host-")
    assert cookie["httponly"] and cookie["secure"] and cookie["samesite"].lower() == "strict"
    assert cookie["path"] == "/" and not cookie["domain"]
    headers = {"cookie": f"{name}={cookie.value}"}
    token = served.ask("GET", "/api/v1/me", key=None, headers=headers).headers["x-csrf-token"]
    return headers | {"x-csrf-token": token}


@pytest.mark.parametrize(("method", "path", "more", "status"), KINDS)
def test_every_kind_of_answer_has_them(served, method, path, more, status):
    answer = served.ask(method, path, **more)
    assert answer.status == status
    for name, value in FIXED.items():
        assert answer.headers.get(name) == value, name
    assert answer.headers["cache-control"] in {"no-store", "private, no-cache"}
    assert "server" not in answer.headers and "set-cookie" not in answer.headers
    assert not any(name.startswith("access-control") for name in answer.headers)
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_browser_with_cookie_and_token_may(served, browser):
    answer = served.ask("POST", "/api/v1/projects", key=None, json={"id": "p1", "name": "P"}, headers=browser)
    assert answer.status in {201, 403}
    assert answer.json.get("code") in {None, "denied"}, "it is the role that decides"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-csrf-token": ""},
        {"x-csrf-token": "A" * 43},
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "https://127.0.0.1.evil.test"},
    ],
)
def test_another_site_may_not_use_the_cookie(served, browser, headers):
    answer = served.ask("POST", "/api/v1/auth/logout", key=None, json={}, headers=browser | headers)
    assert answer.status == 403
    assert served.ask("GET", "/api/v1/me", key=None, headers=browser).status == 200, "nobody was signed out"


def test_another_site_may_not_sign_its_visitor_in(served):
    given = {"email": "browser@example.com", "password": PASSWORD}
    answer = served.ask("POST", "/api/v1/auth/session", key=None, json=given, headers={"origin": "http://evil.test"})
    assert answer.status == 403 and "set-cookie" not in answer.headers


def test_after_signing_out_the_cookie_is_nothing(served):
    given = {"email": "browser@example.com", "password": PASSWORD}
    answer = served.ask("POST", "/api/v1/auth/session", key=None, json=given)
    cookie = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
    token = {"x-csrf-token": served.ask("GET", "/api/v1/me", key=None, headers=cookie).headers["x-csrf-token"]}
    out = served.ask("POST", "/api/v1/auth/logout", key=None, json={}, headers=cookie | token)
    assert out.status == 204
    cleared = http.cookies.SimpleCookie(out.headers["set-cookie"])
    assert next(iter(cleared.values()))["max-age"] == "0"


def test_the_log_holds_no_credential(served, browser):
    text = served.log.read_text()
    assert served.key not in text and browser["cookie"].partition("=")[2] not in text and PASSWORD not in text
