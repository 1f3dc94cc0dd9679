"""`perdure migrate`: brings the databases of the services up to date, or tells how they stand."""

import argparse
from typing import TYPE_CHECKING

from perdure.cli import given
from perdure.errors import extra

if TYPE_CHECKING:
    from pathlib import Path

_EPILOG = """\
Any number of processes may do this at the same time: one works, the others wait and find nothing left to do. `perdure up`
does it by itself for the files of a data directory; a PostgreSQL is changed by this command only.

examples:
  perdure migrate
  perdure migrate --check
  PERDURE_DATABASE_URL=postgresql://perdure@db/perdure perdure migrate --service workflows

exit codes: 0 up to date, 1 out of reach, or not up to date with --check, 2 the command does not fit
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which databases, and whether only to look."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="Directory of the services' files (default: PERDURE_DATA, else ~/.local/share/perdure).",
    )
    parser.add_argument(
        "--database", metavar="URL", help="Address of the database (default: PERDURE_DATABASE_URL, else files in DIR)."
    )
    parser.add_argument("--service", metavar="NAME", help="Only the database of this service.")
    parser.add_argument("--check", action="store_true", help="Change nothing; exit code 1 when one is not up to date.")


def execute(options: argparse.Namespace) -> int:
    """Look or migrate, one line a service."""
    settings = given.read_settings()
    directory = given.data_directory(options.data, settings)
    with extra("server", "`perdure migrate`"):
        from perdure.migrations import histories  # heavy
    services = [options.service] if options.service else list(histories.STORES)
    for service in services:
        histories.head(service)  # a wrong name is told before anything is done
    url = options.database or settings.database_url or _files(directory, make=not options.check)
    late = 0
    for service in services:
        here = histories.standing(url, service) if options.check else histories.migrate(url, service)
        is_late = not (here.is_current or here.is_ahead)
        late += is_late
        if options.check or not is_late:
            print(here)
        else:
            print(f"{service}: from {'version ' + here.found if here.found else 'nothing'} to version {here.needed}")
    return 1 if options.check and late else 0


def _files(directory: "Path", *, make: bool) -> str:
    from perdure.adapters.database import in_directory  # heavy; loaded already by now

    if make:
        directory.mkdir(parents=True, exist_ok=True)
    return in_directory(directory)
