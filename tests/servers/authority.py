"""A small OAuth 2.0 and OpenID provider for tests: hands out numbered tokens and keeps every request."""

import base64
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from tests.servers.recorder import Asked


def jwt(claims: dict[str, Any]) -> str:
    """An unsigned token with these claims."""
    parts = [msgspec.json.encode({"alg": "none"}), msgspec.json.encode(claims), b"x"]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


class Authority:
    """`requests` are the token requests as fields; what `more` holds joins (or with None leaves) every answer."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.asked: list[Asked] = []
        self.more: dict[str, Any] = {}
        self.refuse: set[str] = set()
        """Grants that are answered with 400."""
        self.revoked: set[str] = set()
        self.issuer: str | None = None

    def __repr__(self) -> str:
        return f"Authority({len(self.requests)} token requests)"

    def answer(self, asked: Asked) -> web.StreamResponse:
        """Token endpoint, discovery, and a resource that wants `Bearer token-N`."""
        self.asked.append(asked)
        root = f"http://{asked.headers['host']}"
        if asked.target.endswith("/.well-known/openid-configuration"):
            issuer = self.issuer or root + asked.target.removesuffix("/.well-known/openid-configuration")
            return web.json_response({"issuer": issuer, "token_endpoint": f"{root}/discovered/token"})
        if asked.target.endswith("token"):
            return self._token(asked)
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        known = scheme == "Bearer" and token not in self.revoked
        return web.json_response({"token": token}, status=200 if known else 401)

    def _token(self, asked: Asked) -> web.StreamResponse:
        if asked.headers["content-type"] == "application/json":
            fields = msgspec.json.decode(asked.body)
        else:
            fields = {}
            for name, value in parse_qsl(asked.body.decode(), strict_parsing=True):
                fields[name] = (
                    [*fields[name], value]
                    if isinstance(fields.get(name), list)
                    else ([fields[name], value] if name in fields else value)
                )
        self.requests.append(fields)
        if fields.get("grant_type") in self.refuse:
            return web.json_response({"error": "invalid_grant", "error_description": "no such grant"}, status=400)
        answer = {"access_token": f"token-{len(self.requests)}", "token_type": "bearer", "expires_in": 300, **self.more}
        return web.json_response({name: value for name, value in answer.items() if value is not None})
