"""`make migration SERVICE=workflows NAME=add_notes`: writes the next step of a history from what the metadata have and it has not.

A person reads and mends the step before it is committed.
"""

import re
import sys
import tempfile
import textwrap
from pathlib import Path

from perdure.adapters import database_sqlite
from perdure.adapters.database import address
from perdure.errors import Invalid
from perdure.migrations import alembic_steps, histories

_TEXT = '''"""{title}."""
# ruff: noqa: N999 - steps are loaded by their place, in the order of their names

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {before}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand: what the release before this one uses stays as it is."""
{body}

'''


def generate(service: str, name: str, folder: Path = histories.FOLDER) -> Path | None:
    """Write the next step; its file, or None when there is nothing to do."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{2,40}", name):
        raise Invalid(f"{name!r} does not name a migration.", hint="Write a few lower-case words joined by `_`.")
    last = histories.head(service)
    with tempfile.TemporaryDirectory(prefix="perdure-") as scratch:
        place = address(f"sqlite:///{scratch}/{service}.db", service)
        with histories.opened(place, service) as connection, database_sqlite.begun(connection, "BEGIN IMMEDIATE"):
            if last:
                alembic_steps.upgrade(connection, service)
            body = alembic_steps.written(connection, service)
    if not body:
        return None
    revision = f"{int(last or 0) + 1:04}"
    title = name.replace("_", " ").capitalize()
    path = folder / service / f"{revision}_{name}.py"
    lines = [line for line in body.splitlines() if not line.strip().startswith("# ###")]
    before = f'"{last}"' if last else "None"
    path.parent.mkdir(exist_ok=True)
    body = textwrap.indent(textwrap.dedent("\n".join(lines)), "    ")
    path.write_text(_TEXT.format(title=title, revision=revision, before=before, body=body))
    return path


if __name__ == "__main__":
    made = generate(sys.argv[1], sys.argv[2])
    sys.stdout.write(f"migration: {made}\n" if made else "migration: the tables are as the metadata have them\n")
