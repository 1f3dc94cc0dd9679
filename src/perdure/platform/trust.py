"""The OpenID providers that the administrator trusts: their file, and how what they say of themselves is fetched."""

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from perdure.errors import Invalid, Unavailable
from perdure.language.read import Unreadable, read
from perdure.ports.egress import Egress, EgressFailed, EgressRefused
from perdure.services.identity.providers import Fetch, Provider

_DISCOVERY_BYTES = 1_048_576


def providers(file: str) -> tuple[Provider, ...]:
    """The trusted OpenID providers of a file. Invalid with one sentence when it does not fit."""
    if not file:
        return ()
    try:
        found = read(Path(file).expanduser().read_bytes()).value
        listed = found.get("providers") if isinstance(found, dict) else None
        made = msgspec.convert(listed, tuple[Provider, ...])
    except OSError as error:
        raise Invalid(f"The file {file} of PERDURE_OIDC cannot be read: {error.strerror}.") from None
    except Unreadable as error:
        raise Invalid(f"The file {file} of PERDURE_OIDC is neither YAML nor JSON: {error.message}") from None
    except msgspec.ValidationError as error:
        hint = "Write `providers:` and a list of {issuer, audience, tenant or tenant_claim}; see docs/operate.md."
        raise Invalid(f"The file {file} of PERDURE_OIDC does not fit: {error}.", hint=hint) from None
    if len({one.issuer for one in made}) < len(made):
        raise Invalid(f"The file {file} of PERDURE_OIDC names an issuer twice.", hint="Use `tenant_claim` for tenants.")
    for one in made:
        if bool(one.tenant) == bool(one.tenant_claim):
            raise Invalid(f"The provider {one.issuer} needs either `tenant` or `tenant_claim`.")
        if urlsplit(one.issuer).scheme not in ("https", "http") or not urlsplit(one.issuer).hostname:
            raise Invalid(f"{one.issuer!r} is no address of a provider.")
    return made


def places(file: str) -> list[str]:
    """Where they are: what the administrator trusts may be anywhere."""
    return [urlsplit(provider.issuer).netloc.rpartition("@")[2] for provider in providers(file)]


def fetcher(egress: Egress) -> Fetch:
    """Reads a document of a provider through the one way out."""

    async def fetch(uri: str) -> bytes:
        try:
            answer = await egress.request("GET", uri, headers={"accept": "application/json"}, timeout=10.0, follow=True)
        except (EgressRefused, EgressFailed) as error:
            raise Unavailable(f"{uri} cannot be read: {error}.") from None
        if answer.status != 200 or len(answer.body) > _DISCOVERY_BYTES:
            raise Unavailable(f"{uri} answered {answer.status}.")
        return answer.body

    return fetch
