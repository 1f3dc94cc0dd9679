"""`perdure backup`: a copy of everything an installation keeps, made while it works.

The order makes it one: events on their way first, then the databases of the services, then the journal, and big values,
which never change, at the end. So nothing in the copy refers to something that came later, and what was told between two
of the files is told again after a restore (`cli/restore.py`).
"""

import argparse
import hashlib
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from perdure import __version__
from perdure.cli import given
from perdure.errors import Invalid, NotFound, Unavailable

_EPILOG = """\
Works while `perdure up` or a run works. The backup holds secrets: keep it where you would keep those. With
PERDURE_DATABASE_URL the services' data come from PostgreSQL by pg_dump, which must not be older than the server.

examples:
  perdure backup /backups/monday
  perdure backup /backups/monday.tar.gz --data /var/lib/perdure

exit codes: 0 whole and read back, 1 a part cannot be reached, 2 the command does not fit
"""
FORMAT = "perdure-backup-1"
MANIFEST = "manifest.json"
DUMP = "database.dump"
OUTSIDE = "secrets-file"
"""Where the secrets file stands in a backup when it is not part of the data directory."""
PACKED = (".tar", ".tar.gz", ".tgz")
JOURNAL = "journal.db"
_LEFT_OUT_ENDINGS = ("-wal", "-shm", "-journal", ".lock")
_LEFT_OUT_FOLDERS = {"model"}
"""Made again by whoever needs it."""


class Kept(msgspec.Struct, frozen=True):
    """One file of a backup."""

    path: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds. `began` and `ended` in milliseconds since the Unix epoch."""

    format: str
    version: str
    began: int
    ended: int
    files: list[Kept]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where to, and of what."""
    parser.epilog = _EPILOG
    parser.add_argument("target", help="Directory that does not exist yet, or a file that ends in .tar or .tar.gz.")
    parser.add_argument(
        "--data", metavar="DIR", help="Directory to save (default: PERDURE_DATA, else ~/.local/share/perdure)."
    )


def execute(options: argparse.Namespace) -> int:
    """Copy everything, read it back, and only then give it its name."""
    settings = given.read_settings()
    directory = given.data_directory(options.data, settings)
    target = Path(options.target).expanduser()
    if target.exists():
        raise Invalid(f"{target} exists already.", hint="Name a place that does not; nothing is written over.")
    if not directory.is_dir() and not settings.database_url:
        raise NotFound(f"There is no directory {directory}.", hint="Say where the data are with --data.")
    if target.absolute().is_relative_to(directory.absolute()):
        raise Invalid(f"{target} lies inside the directory that is saved.")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=".perdure-backup-"))
    try:
        manifest = save(directory, scratch, settings.database_url, settings.secrets)
        _name(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for kept in manifest.files:
        print(f"{kept.path}: {kept.bytes} bytes")
    print(f"{target}: {len(manifest.files)} files, whole; it holds secrets, so keep it safe")
    return 0


def save(directory: Path, target: Path, database_url: str = "", secrets: str = "") -> Manifest:
    """Copy into an empty directory, read back, and write down what there is."""
    from perdure.engines.embedded import copies  # opens SQLite

    began = time.time_ns() // 1_000_000
    _copy_files(directory, target)
    if database_url:
        _dump(database_url, target / DUMP)
    databases = [path for path in _files(directory) if _is_database(path)]
    for path in sorted(databases, key=lambda path: (path.name == JOURNAL, path)):
        copied = target / path.relative_to(directory)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copies.copy(path, copied)
    _copy_files(directory, target)
    outside = Path(secrets).expanduser() if secrets else None
    if outside is not None and outside.is_file() and not outside.absolute().is_relative_to(directory.absolute()):
        shutil.copyfile(outside, target / OUTSIDE)
    files = [kept(path, target) for path in _files(target)]
    manifest = Manifest(format=FORMAT, version=__version__, began=began, ended=time.time_ns() // 1_000_000, files=files)
    (target / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    for path in target.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
        _sync(path)
    _sync(target)
    return manifest


def kept(path: Path, root: Path) -> Kept:
    """A file as the manifest knows it."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Kept(path.relative_to(root).as_posix(), path.stat().st_size, digest)


def postgres_program(name: str, url: str, *more: str) -> None:
    """Run pg_dump or pg_restore for this database. The password travels in the environment, never among arguments."""
    program = shutil.which(name)
    if program is None:
        raise Unavailable(
            f"{name} was not found, and without it the data in PostgreSQL cannot be moved.",
            hint="Install the client programs of PostgreSQL, or save the database with your own tools.",
        )
    parts = urlsplit(url.replace("postgresql+psycopg://", "postgresql://"))
    place = parts.netloc.rpartition("@")[2]
    bare = urlunsplit(parts._replace(netloc=f"{parts.username}@{place}" if parts.username else place))
    environment = {**os.environ, "PGOPTIONS": "-c app.tenant=*"}
    if parts.password:
        environment["PGPASSWORD"] = unquote(parts.password)
    done = subprocess.run(
        [program, *more, "--dbname", bare], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        is_older = "version mismatch" in done.stderr
        hint = f"{program} must be as new as the server; the first one of PATH is used." if is_older else ""
        raise Unavailable(f"{name} failed: {lines[0]}.", hint=hint)


def _dump(url: str, target: Path) -> None:
    if "{service}" in url:
        raise Invalid(
            "The services have databases of their own; save each with pg_dump.",
            hint="One database for all services is saved by this command: an address without {service}.",
        )
    postgres_program("pg_dump", url, "--format=custom", "--enable-row-security", f"--file={target}")


def _copy_files(directory: Path, target: Path) -> None:
    """Copy what is no database and not there yet. What goes away meanwhile was taken in by somebody."""
    for path in _files(directory):
        copied = target / path.relative_to(directory)
        if _is_database(path) or copied.exists():
            continue
        copied.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, copied)
        except FileNotFoundError:
            copied.unlink(missing_ok=True)


def _files(directory: Path) -> Iterator[Path]:
    """Every file that belongs to an installation, in order of their names."""
    for place, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT_FOLDERS)
        for name in sorted(names):
            path = Path(place) / name
            if name.startswith(".new-") or name.endswith(_LEFT_OUT_ENDINGS):
                continue
            try:
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path
            except FileNotFoundError:
                continue


def _is_database(path: Path) -> bool:
    if path.suffix != ".db":
        return False
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\x00"
    except FileNotFoundError:
        return False


def _name(scratch: Path, target: Path) -> None:
    """Give the finished copy its name: all of it appears at once."""
    if not target.name.endswith(PACKED):
        scratch.rename(target)
        return
    packed = scratch.with_name(scratch.name + ".tar")
    try:
        with tarfile.open(packed, "x" if target.suffix == ".tar" else "x:gz") as archive:
            for path in sorted(scratch.rglob("*")):
                archive.add(path, path.relative_to(scratch).as_posix(), recursive=False)
        packed.chmod(0o600)
        _sync(packed)
        packed.rename(target)
    finally:
        packed.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
