"""Authentication of outgoing calls (language.md E5, E6): puts credentials on a request at the moment it is sent.

RULES
- Secrets are opened here and held to their hosts before anything is sent.
- A token that cannot be had is an `authentication` fault; the call itself was then never sent.
- A 401 for a token from the cache drops the token and asks for a new one, once.
"""

import base64
import secrets
from typing import Any
from urllib.parse import urlsplit

from perdure.functions import digest
from perdure.functions.http_messages import Request, not_permitted, refused, unreachable
from perdure.functions.secret_use import SecretUse
from perdure.functions.tokens import Tokens
from perdure.interpreter import handles
from perdure.language.values import Json
from perdure.ports.clock import Clock
from perdure.ports.egress import Egress, EgressFailed, EgressRefused, Response
from perdure.ports.function import Context

SCHEMES = ("basic", "bearer", "digest", "oauth2", "oidc")


class Authenticator:
    """Sends requests with the credentials of a policy; keeps tokens while they are valid."""

    def __init__(self, egress: Egress, clock: Clock) -> None:
        self._egress = egress
        self._tokens = Tokens(egress, clock)

    def __repr__(self) -> str:
        return f"Authenticator({self._tokens!r})"

    async def send(
        self, request: Request, policy: Json, context: Context, *, use: SecretUse, shown: Request | None = None
    ) -> Response:
        """The answer to the request, whatever its status. `use` holds the secrets that are in the request already.

        `shown` stands for the request in messages. FunctionFault for a refused address (403), a failed connection
        (500), a token that cannot be had (401) and a policy that does not fit.
        """
        shown = shown or request
        host = host_of(request.uri)
        if policy is None:
            use.hold_to(host)
            return await self._transmit(request, shown)
        scheme, settings = _read(policy)
        if scheme in ("oauth2", "oidc"):
            use.hold_to(host)
            return await self._with_token(request, shown, scheme, settings, context, use=use)
        opened = opened_settings(settings, use)
        use.hold_to(host)
        if scheme == "digest":
            return await self._with_digest(request, shown, _credentials(opened, scheme))
        header = _static(scheme, opened)
        use.hide(header.partition(" ")[2])
        return await self._transmit(_signed(request, header), shown)

    async def _transmit(self, request: Request, shown: Request) -> Response:
        try:
            return await self._egress.request(
                request.method,
                request.uri,
                headers=request.headers,
                body=request.body,
                timeout=request.timeout,
            )
        except EgressRefused as error:
            message = str(error) if shown.uri == request.uri else "The address is refused. See PERDURE_EGRESS_ALLOW."
            raise not_permitted(message) from None
        except EgressFailed as error:
            raise unreachable(shown, str(error)) from None

    async def _with_digest(self, request: Request, shown: Request, credentials: tuple[str, str]) -> Response:
        """Ask, hear the challenge, answer it; once more when the server only calls the nonce stale."""
        response = await self._transmit(request, shown)
        for attempt in (1, 2):
            challenge = digest.best(response.headers.get("www-authenticate", "")) if response.status == 401 else None
            if challenge is None or (attempt == 2 and challenge.get("stale", "").lower() != "true"):
                break
            answer = digest.answer(
                challenge,
                credentials,
                request.method,
                response.uri,
                body=request.body or b"",
                cnonce=secrets.token_hex(16),
            )
            response = await self._transmit(_signed(request, answer), shown)
        return response

    async def _with_token(
        self, request: Request, shown: Request, scheme: str, settings: Json, context: Context, *, use: SecretUse
    ) -> Response:
        token = await self._tokens.get(scheme, settings, context)
        use.hide(token.header.partition(" ")[2])
        response = await self._transmit(_signed(request, token.header), shown)
        if response.status != 401 or token.is_new:
            return response
        self._tokens.drop(token)
        token = await self._tokens.get(scheme, settings, context)
        use.hide(token.header.partition(" ")[2])
        return await self._transmit(_signed(request, token.header), shown)


def opened_settings(settings: Json, use: SecretUse) -> Json:
    """A scheme's settings with their secrets opened; `use: secret` may stand for all of them."""
    if isinstance(settings, dict) and set(settings) == {"use"} and not isinstance(settings["use"], str):
        settings = settings["use"]
    return use.open(settings)


def host_of(uri: str) -> str:
    """The host of an address, lower case; empty when there is none (such an address is refused anyway)."""
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:
        return ""


def _read(policy: Json) -> tuple[str, Json]:
    if isinstance(policy, dict):
        found = [scheme for scheme in SCHEMES if scheme in policy]
        if len(found) == 1:
            return found[0], policy[found[0]]
        if handles.SECRET in policy or "use" in policy:
            raise refused("`authentication` names no scheme: write basic, bearer, digest, oauth2 or oidc.")
    raise refused("`authentication` must hold exactly one of basic, bearer, digest, oauth2 and oidc.")


def _static(scheme: str, settings: Json) -> str:
    """The header of a scheme that needs no talk: basic, bearer."""
    if scheme == "basic":
        username, password = _credentials(settings, scheme)
        return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
    token = settings.get("token") if isinstance(settings, dict) else settings
    if not isinstance(token, str) or not token:
        raise refused("`bearer` needs a `token`.")
    return f"Bearer {token}"


def _credentials(settings: Json, scheme: str) -> tuple[str, str]:
    if isinstance(settings, dict):
        username, password = settings.get("username"), settings.get("password")
        if isinstance(username, str) and isinstance(password, str):
            return username, password
    raise refused(f"`{scheme}` needs a `username` and a `password`, both texts.")


def _signed(request: Request, header: str) -> Request:
    """A copy of the request with this `Authorization`; one that the author wrote himself gives way."""
    headers: dict[str, Any] = {
        name: value for name, value in request.headers.items() if name.lower() != "authorization"
    }
    headers["Authorization"] = header
    return Request(method=request.method, uri=request.uri, headers=headers, body=request.body, timeout=request.timeout)
