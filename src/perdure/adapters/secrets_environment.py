"""Secrets from a mapping such as the environment: `PERDURE_SECRET_TOKEN=…` is the secret `TOKEN`.

A value that is a JSON object or array counts as such, everything else as text. `{"value": …, "hosts": ["*.example.com"]}`
binds the secret to hosts. The mapping is handed in: this module reads no environment.
"""

from collections.abc import Mapping

import msgspec

from perdure.errors import Invalid
from perdure.language.values import Json
from perdure.ports.secrets import Secret

PREFIX = "PERDURE_SECRET_"


class EnvironmentSecrets:
    """The same secrets for every tenant of one process."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._found = {
            name.removeprefix(PREFIX): bound(name, _read(text))
            for name, text in environ.items()
            if name.startswith(PREFIX) and len(name) > len(PREFIX)
        }

    def __repr__(self) -> str:
        return f"EnvironmentSecrets({len(self._found)} secrets)"

    def names(self) -> list[str]:
        return sorted(self._found)

    async def get(self, tenant: str, name: str) -> Secret | None:
        """By its exact name; else by the name in capitals with `_` for `-`, as an environment can hold it."""
        return self._found.get(name) or self._found.get(name.upper().replace("-", "_"))


def bound(name: str, value: Json) -> Secret:
    """A secret, with its hosts when the value has the form `{"value", "hosts"}`. Invalid when the hosts do not fit."""
    if not isinstance(value, dict) or set(value) != {"value", "hosts"}:
        return Secret(value)
    hosts = value["hosts"]
    if not isinstance(hosts, list) or not hosts or not all(_is_host(host) for host in hosts):
        raise Invalid(
            f"The hosts of the secret {name} must be a list of host names.",
            hint='Write "api.example.com" or "*.example.com", without https:// and without a port.',
        )
    return Secret(value["value"], tuple(hosts))


def _is_host(host: Json) -> bool:
    if not isinstance(host, str) or any(sign in host for sign in "/@: \t\n"):
        return False
    return bool(host.removeprefix("*.")) and "*" not in host.removeprefix("*.")


def _read(text: str) -> Json:
    if text.lstrip()[:1] in ("{", "["):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return text
    return text
