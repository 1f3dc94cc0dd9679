"""A real OpenID provider, npm's `oidc-provider`, on a free port, with keys, roles and a clock of the test's choosing.

`openid_provider/package-lock.json` names every package by version and hash; where they are had from is npm's own affair.
"""

import base64
import hashlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from tests.servers.temporal import free_port

MISSING = "the OpenID provider needs Node.js and npm, and npm's registry once"
_FOLDER = Path(__file__).parent / "openid_provider"
_FILES = ("package.json", "package-lock.json", "provider.mjs")


def program() -> Path | None:
    """The installed provider: packages of exactly these hashes, fetched once and kept. None when they cannot be had."""
    digest = hashlib.sha256(b"\0".join((_FOLDER / name).read_bytes() for name in _FILES)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "perdure-tests"
    place = cache / f"openid-{digest}"
    if place.is_dir():
        return place / "provider.mjs"
    if shutil.which("node") is None or shutil.which("npm") is None:
        return None
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        for name in _FILES:
            shutil.copy(_FOLDER / name, scratch)
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=scratch, capture_output=True, timeout=120,
        )  # fmt: skip
        if done.returncode:
            return None
        made = Path(shutil.copytree(scratch, cache / f"{secrets.token_hex(8)}.new"))
        try:
            made.rename(place)
        except OSError:  # another process was first
            shutil.rmtree(made)
    return place / "provider.mjs"


def needed() -> Path:
    """The provider, or the test is skipped."""
    found = program()
    if found is None:
        if os.environ.get("PERDURE_REQUIRE_SERVERS") == "1":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return found


def rsa(kid: str) -> dict[str, Any]:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"}).as_dict(private=True)


def elliptic(kid: str) -> dict[str, Any]:
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"}).as_dict(private=True)


class OpenIdProvider:
    """Can be stopped, and started again with other keys."""

    def __init__(self, folder: Path, **roles: list[str]) -> None:
        self.program = needed()
        self.folder = folder
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.roles = roles
        self.secret = secrets.token_urlsafe(32)
        self._process: subprocess.Popen[str] | None = None

    def __repr__(self) -> str:
        return f"OpenIdProvider({self.issuer})"

    def start(self, *keys: dict[str, Any], shift: int = 0) -> None:
        """With these keys, of which the first signs; `shift` seconds beside the time."""
        self.stop()
        described = {
            "issuer": self.issuer, "port": self.port, "keys": keys, "roles": self.roles, "shift": shift,
            "secret": self.secret, "chance": secrets.token_urlsafe(32),
        }  # fmt: skip
        file = self.folder / f"provider-{self.port}.json"
        file.write_text(json.dumps(described))
        log = self.folder / f"provider-{self.port}.log"
        with log.open("a") as errors:
            self._process = subprocess.Popen(
                ["node", str(self.program), str(file)], stdout=subprocess.PIPE, stderr=errors, text=True,
                start_new_session=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", log.read_text()[-2000:]

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    # What its clients do

    def machine_token(self, audience: str) -> str:
        """Client credentials (RFC 6749, 4.4)."""
        given = {"grant_type": "client_credentials", "resource": audience, "scope": "openid"}
        basic = base64.b64encode(f"machine:{self.secret}".encode()).decode()
        return str(self._json("/token", given, {"authorization": f"Basic {basic}"})["access_token"])

    def person_tokens(self, account: str, audience: str) -> dict[str, Any]:
        """Authorization code with PKCE (RFC 7636), the forms of sign-in and consent filled in as a browser would."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "client_id": "app", "response_type": "code", "redirect_uri": "https://app.example/back",
            "scope": "openid", "resource": audience, "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        code = self._code(f"/auth?{urllib.parse.urlencode(asked)}", account)
        given = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": "https://app.example/back",
            "client_id": "app", "code_verifier": verifier, "resource": audience,
        }  # fmt: skip
        return self._json("/token", given, {})

    def _code(self, address: str, account: str) -> str:
        cookies: dict[str, str] = {}
        body: str | None = None
        for _ in range(12):
            status, headers, text = self._ask("POST" if body else "GET", address, body, {"cookie": _joined(cookies)})
            for name, value in headers:
                if name.lower() == "set-cookie":
                    key, _, rest = value.partition("=")
                    cookies[key] = rest.partition(";")[0]
            body = None
            if 300 <= status < 400:
                address = next(value for name, value in headers if name.lower() == "location")
                found = urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)
                if "code" in found:
                    return found["code"][0]
                continue
            form = re.search(r'action="([^"]+)"', text)
            prompt = re.search(r'name="prompt" value="([^"]+)"', text)
            assert form is not None and prompt is not None, (status, text[-2000:])
            address = form[1]
            body = urllib.parse.urlencode({"prompt": prompt[1], "login": account, "password": "any"})
        raise AssertionError("no code came")

    def _json(self, path: str, given: dict[str, str], headers: dict[str, str]) -> dict[str, Any]:
        status, _, text = self._ask("POST", path, urllib.parse.urlencode(given), headers)
        assert status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found

    def _ask(
        self, method: str, address: str, body: str | None, headers: dict[str, str]
    ) -> tuple[int, list[tuple[str, str]], str]:
        parts = urllib.parse.urlsplit(address)
        given = headers | ({"content-type": "application/x-www-form-urlencoded"} if body else {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body, given)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read().decode()
        finally:
            connection.close()


def _joined(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())
