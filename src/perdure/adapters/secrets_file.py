"""Secrets from a file, JSON or YAML: a map of names to values, `{"value": …, "hosts": […]}` to bind one to hosts.

The file is read once. A file that others may read is used all the same, and `warning` says so.
"""

import stat
from pathlib import Path

from perdure.adapters.secrets_environment import bound
from perdure.errors import Invalid
from perdure.language.read import read
from perdure.ports.secrets import Secret, Secrets

MAX_BYTES = 1_000_000


class FileSecrets:
    """The secrets of a file, before those of `otherwise`; the same for every tenant of one process."""

    def __init__(self, path: Path, otherwise: Secrets | None = None) -> None:
        self._path = path
        self._otherwise = otherwise
        self._found, self.warning = _read(path)
        """`warning` is one line for the user, or None."""

    def __repr__(self) -> str:
        return f"FileSecrets({str(self._path)!r}, {len(self._found)} secrets)"

    def names(self) -> list[str]:
        return sorted(self._found)

    async def get(self, tenant: str, name: str) -> Secret | None:
        found = self._found.get(name)
        if found is None and self._otherwise is not None:
            return await self._otherwise.get(tenant, name)
        return found


def _read(path: Path) -> tuple[dict[str, Secret], str | None]:
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()
    except OSError as error:
        raise Invalid(f"The secrets file {path} cannot be read: {error.strerror}.") from None
    if len(text) > MAX_BYTES:
        raise Invalid(f"The secrets file {path} is larger than {MAX_BYTES} bytes.")
    try:
        value = read(text).value
    except Invalid as error:
        # The reader's own sentence may quote the text, and here the text is secret.
        where = [f"line {finding.line}" for finding in getattr(error, "findings", ()) if finding.line]
        raise Invalid(
            f"The secrets file {path} is neither JSON nor YAML{' (' + where[0] + ')' if where else ''}."
        ) from None
    if not isinstance(value, dict):
        raise Invalid(f"The secrets file {path} must be a map of names to values.")
    warning = None
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        warning = f"The secrets file {path} can be read by others on this machine: chmod 600 {path}"
    return {name: bound(name, secret) for name, secret in value.items()}, warning
