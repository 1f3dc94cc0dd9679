"""Access tokens for `oauth2` and `oidc` (language.md E6): asks for them, checks them, keeps them until they expire.

RULES
- A token is kept in memory only, under the hash of its whole opened policy and its tenant.
- Calls that need the same token at the same time make one request.
- Whatever goes wrong here is an `authentication` fault: the call that needed the token was never sent.
"""

import asyncio
import base64
import uuid
from typing import Any
from urllib.parse import quote_plus, urlsplit

import msgspec

from perdure.functions import assertions, bodies
from perdure.functions.secret_use import SecretUse
from perdure.interpreter.faults import problem
from perdure.language.values import Json, content_hash
from perdure.ports.clock import Clock
from perdure.ports.egress import Egress, EgressFailed, EgressRefused, Response
from perdure.ports.function import Context, FunctionFault

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
GRANTS = ("authorization_code", "client_credentials", "password", "refresh_token", EXCHANGE)
METHODS = ("client_secret_post", "client_secret_basic", "client_secret_jwt", "private_key_jwt", "none")
DISCOVERY = "/.well-known/openid-configuration"

_TIMEOUT = 30.0
_KEPT = 1_000
_UNSAID_SECONDS = 60.0
"""How long a token is used whose lifetime the server does not tell."""
_EARLY_SECONDS = 30.0
"""A token is renewed so long before its end, or a tenth of its lifetime when that is less."""
_DISCOVERY_SECONDS = 3_600.0


class Token(msgspec.Struct, kw_only=True):
    """An access token on its way into a header."""

    key: str
    header: str
    until: float
    """By the monotonic clock."""
    refresh: str | None = None
    is_new: bool = True

    def __repr__(self) -> str:
        return f"Token({self.key[:8]}, until={self.until:.0f})"


class Tokens:
    """The tokens of this process."""

    def __init__(self, egress: Egress, clock: Clock) -> None:
        self._egress = egress
        self._clock = clock
        self._kept: dict[str, Token] = {}
        self._flights: dict[str, asyncio.Lock] = {}
        self._discovered: dict[str, tuple[float, dict[str, Any]]] = {}

    def __repr__(self) -> str:
        return f"Tokens({len(self._kept)} kept, {len(self._flights)} being asked for)"

    async def get(self, scheme: str, settings: Json, context: Context) -> Token:
        """A valid token. FunctionFault `authentication`/401, or `authorization`/403 for a secret of another host."""
        use = SecretUse(context)
        if isinstance(settings, dict) and set(settings) == {"use"} and not isinstance(settings["use"], str):
            settings = settings["use"]
        policy = use.open(settings)
        if not isinstance(policy, dict):
            raise failed(f"`{scheme}` must be an object with `authority` and `grant`.")
        key = content_hash([context.tenant, scheme, policy])
        lock = self._flights.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                kept = self._kept.get(key)
                if kept is not None and self._clock.monotonic() < kept.until:
                    return msgspec.structs.replace(kept, is_new=False)
                return await self._renewed(_Ask(scheme, policy, use), key, kept)
        finally:
            if not lock.locked():
                self._flights.pop(key, None)

    def drop(self, token: Token) -> None:
        """Forget a token that a server refused; its refresh token stays of use."""
        kept = self._kept.get(token.key)
        if kept is not None and kept.header == token.header:
            kept.until = float("-inf")

    async def _renewed(self, ask: "_Ask", key: str, old: Token | None) -> Token:
        endpoint = await self._endpoint(ask)
        ask.use.hold_to(urlsplit(endpoint).hostname or "")
        answer = None
        if old is not None and old.refresh is not None:
            try:
                answer = await self._request(
                    ask, endpoint, {"grant_type": "refresh_token", "refresh_token": old.refresh}
                )
            except FunctionFault:
                answer = None  # the refresh token may be spent: go by the policy again
        if answer is None:
            answer = await self._request(ask, endpoint, ask.grant())
        token = self._read(ask, answer, key, old)
        self._keep(token)
        return token

    async def _endpoint(self, ask: "_Ask") -> str:
        if ask.scheme == "oauth2":
            return ask.endpoint()
        address = ask.authority.removesuffix(DISCOVERY) + DISCOVERY
        known = self._discovered.get(address)
        if known is None or self._clock.monotonic() > known[0]:
            response = await self._send("GET", address, {"Accept": bodies.JSON}, None, follow=True)
            said = _object(response)
            if response.status != 200 or said is None:
                raise failed(f"{address} answered {response.status}, not an OpenID configuration.")
            if len(self._discovered) >= _KEPT:
                self._discovered.pop(next(iter(self._discovered)))
            known = self._discovered[address] = (self._clock.monotonic() + _DISCOVERY_SECONDS, said)
        said = known[1]
        accepted = [ask.authority.removesuffix(DISCOVERY), *(issuer.rstrip("/") for issuer in ask.issuers)]
        if str(said.get("issuer", "")).rstrip("/") not in accepted:
            raise failed(f"{address} names the issuer {said.get('issuer')!r}, which is not the authority.")
        if not isinstance(said.get("token_endpoint"), str):
            raise failed(f"{address} names no token_endpoint.")
        return str(said["token_endpoint"])

    async def _request(self, ask: "_Ask", endpoint: str, fields: dict[str, Json]) -> dict[str, Any]:
        """One token request. The client's authentication is made anew each time: an assertion serves once."""
        headers, more = ask.client_authentication(endpoint, self._clock.now() // 1000)
        fields = {name: value for name, value in {**fields, **ask.common(), **more}.items() if value not in (None, [])}
        body, kind = bodies.encode(fields, ask.encoding)
        headers = {**headers, "Content-Type": kind, "Accept": bodies.JSON}
        response = await self._send("POST", endpoint, headers, body, follow=False)
        answer = _object(response) or {}
        if response.status != 200 or not isinstance(answer.get("access_token"), str):
            said = answer.get("error_description") or answer.get("error") or "no access token in the answer"
            raise failed(ask.use.redact(f"{_place(endpoint)} answered {response.status}: {str(said)[:500]}."))
        return answer

    async def _send(
        self, method: str, uri: str, headers: dict[str, str], body: bytes | None, *, follow: bool
    ) -> Response:
        try:
            return await self._egress.request(method, uri, headers=headers, body=body, timeout=_TIMEOUT, follow=follow)
        except (EgressRefused, EgressFailed) as error:
            raise failed(str(error)) from None

    def _read(self, ask: "_Ask", answer: dict[str, Any], key: str, old: Token | None) -> Token:
        value = answer["access_token"]
        kind = str(answer.get("token_type") or "Bearer")
        if kind.lower() != "bearer":
            raise failed(f"The token is of the type {kind!r}; only Bearer is supported.")
        if not (value.isascii() and value.isprintable()):
            raise failed("The token holds characters that no header may hold.")
        said = assertions.read_claims(value)
        if ask.issuers and said is not None and said.get("iss") not in ask.issuers:
            raise failed(f"The token's issuer {said.get('iss')!r} is none of `issuers`.")
        lifetime = answer.get("expires_in")
        try:
            seconds = float(lifetime) if lifetime is not None else _UNSAID_SECONDS
        except (TypeError, ValueError):
            seconds = _UNSAID_SECONDS
        until = self._clock.monotonic() + seconds - min(_EARLY_SECONDS, seconds / 10)
        refresh = answer.get("refresh_token") or (old.refresh if old is not None else None)
        return Token(key=key, header=f"Bearer {value}", until=until, refresh=refresh)

    def _keep(self, token: Token) -> None:
        now = self._clock.monotonic()
        if len(self._kept) >= _KEPT:
            self._kept = {key: kept for key, kept in self._kept.items() if kept.until > now}
        if len(self._kept) >= _KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[token.key] = token


class _Ask:
    """An opened policy, read: what it asks the token endpoint for."""

    def __init__(self, scheme: str, policy: dict[str, Any], use: SecretUse) -> None:
        self.scheme = scheme
        self.policy = policy
        self.use = use
        self.authority = self._text("authority", needed=True).rstrip("/")
        self.client: dict[str, Any] = policy.get("client") or {}
        self.issuers: list[str] = [str(issuer) for issuer in policy.get("issuers") or []]
        self.encoding = (policy.get("request") or {}).get("encoding", bodies.FORM)
        if policy.get("grant") not in GRANTS:
            raise failed(f"`{scheme}.grant` must be one of {', '.join(GRANTS)}.")
        if self.encoding not in (bodies.FORM, bodies.JSON):
            raise failed(f"`{scheme}.request.encoding` must be {bodies.FORM} or {bodies.JSON}.")

    def __repr__(self) -> str:
        return f"_Ask({self.scheme} {self.policy['grant']} at {self.authority})"

    def endpoint(self) -> str:
        """The token endpoint: a path below the authority, or an address of its own (E6)."""
        path = (self.policy.get("endpoints") or {}).get("token") or "/oauth2/token"
        if not isinstance(path, str):
            raise failed("`endpoints.token` must be a path.")
        return path if path.startswith(("http://", "https://")) else f"{self.authority}/{path.lstrip('/')}"

    def grant(self) -> dict[str, Json]:
        """The fields of the grant itself."""
        grant = self.policy["grant"]
        fields: dict[str, Json] = {"grant_type": grant}
        if grant == "password":
            fields["username"] = self._text("username", needed=True)
            fields["password"] = self._text("password", needed=True)
        elif grant == "refresh_token":
            fields["refresh_token"] = self._given("refresh_token", "refreshToken")
        elif grant == "authorization_code":
            fields["code"] = self._given("code")
            for name, other in (("redirect_uri", "redirectUri"), ("code_verifier", "codeVerifier")):
                fields[name] = self.policy.get(name) or self.policy.get(other)
        elif grant == EXCHANGE:
            fields |= self._party("subject", needed=True) | self._party("actor", needed=False)
        return fields

    def common(self) -> dict[str, Json]:
        """What every grant may say."""
        audiences = [str(audience) for audience in self.policy.get("audiences") or []]
        scopes = [str(scope) for scope in self.policy.get("scopes") or []]
        return {
            "scope": " ".join(scopes) or None,
            "audience": audiences[0] if len(audiences) == 1 else audiences,
        }

    def client_authentication(self, endpoint: str, now: int) -> tuple[dict[str, str], dict[str, Json]]:
        """Headers and fields by which the client says who it is (RFC 6749 2.3, RFC 7523 2.2)."""
        method = self.client.get("authentication") or "client_secret_post"
        client, secret, assertion = (self.client.get(key) for key in ("id", "secret", "assertion"))
        if method not in METHODS:
            raise failed(f"`client.authentication` must be one of {', '.join(METHODS)}.")
        if method == "client_secret_basic":
            pair = f"{quote_plus(str(client or ''))}:{quote_plus(str(secret or ''))}"
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode("ascii")}, {}
        if method in ("client_secret_jwt", "private_key_jwt"):
            signed = assertion or self._assertion(method, client, secret, endpoint, now)
            return {}, {
                "client_id": client,
                "client_assertion_type": assertions.TYPE,
                "client_assertion": signed,
            }
        return {}, {"client_id": client, "client_secret": secret if method == "client_secret_post" else None}

    def _assertion(self, method: str, client: Json, secret: Json, endpoint: str, now: int) -> str:
        if not isinstance(client, str) or not isinstance(secret, str):
            raise failed(f"`{method}` needs `client.id` and `client.secret`, or a finished `client.assertion`.")
        said = assertions.claims(client, endpoint, now=now, identifier=uuid.uuid4().hex)
        if method == "client_secret_jwt":
            return assertions.sign_with_secret(said, secret)
        try:
            return assertions.sign_with_key(said, secret)
        except ValueError as error:
            raise failed(f"{error}.") from None

    def _given(self, *names: str) -> str:
        """A code or token that the policy holds by its own name, or as the token of `subject`."""
        for name in names:
            if isinstance(self.policy.get(name), str):
                return str(self.policy[name])
        subject = self.policy.get("subject")
        if isinstance(subject, dict) and isinstance(subject.get("token"), str):
            return str(subject["token"])
        raise failed(f"The grant {self.policy['grant']} needs `subject.token`, or `{names[0]}` in the policy's secret.")

    def _party(self, name: str, *, needed: bool) -> dict[str, Json]:
        party = self.policy.get(name)
        if party is None and not needed:
            return {}
        if not isinstance(party, dict) or not isinstance(party.get("token"), str):
            raise failed(f"The grant {EXCHANGE} needs `{name}.token`.")
        kind = party.get("type") or "urn:ietf:params:oauth:token-type:access_token"
        return {f"{name}_token": party["token"], f"{name}_token_type": kind}

    def _text(self, name: str, *, needed: bool) -> str:
        value = self.policy.get(name)
        if not isinstance(value, str) or (needed and not value):
            raise failed(f"`{self.scheme}.{name}` is missing or no text.")
        return value


def failed(detail: str) -> FunctionFault:
    """The fault for a token that cannot be had."""
    return FunctionFault(problem("authentication", title="no access token", detail=detail))


def _object(response: Response) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(response.body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _place(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
