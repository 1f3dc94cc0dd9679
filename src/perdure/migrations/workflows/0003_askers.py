"""Which run's document asked a question: what is decided about it is no answer to another run's."""
# ruff: noqa: N999 - steps are loaded by their place, in the order of their names

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand: what the release before this one uses stays as it is."""
    with op.batch_alter_table("items", schema=None) as batch_op:
        batch_op.add_column(sa.Column("asker", sa.Text(), server_default="", nullable=False))
