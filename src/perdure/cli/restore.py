"""`perdure restore`: puts a backup where nothing is, whole or not at all.

What services told while the backup was made is told again, because the copies of two services are of two moments; each
listener knows what it has taken.
"""

import argparse
import shutil
import tarfile
import tempfile
from pathlib import Path

import msgspec

from perdure.cli import given
from perdure.cli.backup import DUMP, FORMAT, MANIFEST, OUTSIDE, PACKED, Manifest, kept, postgres_program
from perdure.errors import Invalid, NotFound, Unavailable

_EPILOG = """\
Runs go on from where they were at the backup: what happened later happens again, with the same idempotency keys.

examples:
  perdure restore /backups/monday --data /var/lib/perdure
  perdure restore /backups/monday.tar.gz --data new && perdure up --data new

exit codes: 0 restored, 1 the backup is damaged or a part cannot be reached, 2 the command does not fit
"""
_BEFORE_MS = 60_000
"""How long before the backup an event may have been told and not yet taken by everyone."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which backup, and where to."""
    parser.epilog = _EPILOG
    parser.add_argument("source", help="The directory or file that `perdure backup` made.")
    parser.add_argument(
        "--data", metavar="DIR", help="Directory to fill (default: PERDURE_DATA, else ~/.local/share/perdure)."
    )


def execute(options: argparse.Namespace) -> int:
    """Check everything first, then put it in place."""
    settings = given.read_settings()
    directory = given.data_directory(options.data, settings)
    source = Path(options.source).expanduser()
    if directory.exists() and any(directory.iterdir()):
        raise Invalid(f"{directory} is not empty.", hint="Restore into a new directory; nothing is written over.")
    if not source.exists():
        raise NotFound(f"There is no backup {source}.")
    directory.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=directory.parent, prefix=".perdure-restore-"))
    try:
        _unpack(source, scratch)
        manifest = checked(scratch)
        told = _prepare(scratch, manifest)
        told += _fill(scratch, settings.database_url, manifest)
        (scratch / MANIFEST).unlink()
        if directory.exists():
            directory.rmdir()
        scratch.rename(directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{directory}: {len(manifest.files)} files of version {manifest.version}, whole")
    if told:
        print(f"{told} events of the minutes around the backup will be told again")
    if (directory / OUTSIDE).exists():
        print(f"The secrets file is {directory / OUTSIDE}; point PERDURE_SECRETS at it or move it")
    return 0


def checked(folder: Path) -> Manifest:
    """The manifest, when every file is there and as it was. Unavailable when not."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        raise Invalid("This is not a backup of Perdure: its manifest is missing or damaged.") from None
    if manifest.format != FORMAT:
        raise Invalid(f"This backup has the form {manifest.format!r}; this program knows {FORMAT!r}.")
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {MANIFEST}
    for one in manifest.files:
        if one.path not in found or kept(folder / one.path, folder) != one:
            raise Unavailable(f"The backup is damaged: {one.path} is not as it was.", hint="Take another backup.")
    strangers = found - {one.path for one in manifest.files}
    if strangers:
        raise Invalid(f"The backup holds what it should not: {min(strangers)}.")
    return manifest


def _unpack(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
        return
    if not source.name.endswith(PACKED):
        raise Invalid(f"{source} is neither a directory nor a .tar or .tar.gz file.")
    try:
        with tarfile.open(source) as archive:
            archive.extractall(target, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise Unavailable(f"The backup {source} cannot be unpacked: {error}.") from None


def _prepare(folder: Path, manifest: Manifest) -> int:
    """Read each database whole, and have told again what was told around the backup; how many events."""
    from perdure.engines.embedded import copies  # opens SQLite

    told = 0
    for path in sorted(folder.rglob("*.db")):
        copies.check(path)
        told += copies.tell_again(path, manifest.began - _BEFORE_MS)
    return told


def _fill(folder: Path, url: str, manifest: Manifest) -> int:
    """What came from PostgreSQL goes back there, in one transaction; how many events are told again."""
    dump = folder / DUMP
    if not dump.exists():
        return 0
    if not url:
        raise Invalid(
            "The backup holds data of a PostgreSQL.", hint="Set PERDURE_DATABASE_URL to an empty database for them."
        )
    from perdure.adapters import outbox  # heavy, and for PostgreSQL only
    from perdure.adapters.database import address
    from perdure.migrations import histories

    if any(histories.standing(url, service).found for service in histories.STORES):
        raise Invalid(
            "The database of PERDURE_DATABASE_URL has data of Perdure already, and nothing is written over.",
            hint="Name an empty one, which its role owns.",
        )
    postgres_program("pg_restore", url, "--no-owner", "--exit-on-error", "--single-transaction", str(dump))
    dump.unlink()
    told = 0
    for service in histories.STORES:
        if histories.standing(url, service).found:
            place = address(url, service)
            with histories.opened(place, service) as connection, histories.alone(connection, service):
                told += outbox.tell_again(connection, manifest.began - _BEFORE_MS)
    return told
