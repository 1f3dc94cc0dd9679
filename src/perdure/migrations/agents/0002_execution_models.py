"""Models that an execution is held to."""
# ruff: noqa: N999 - steps are loaded by their place, in the order of their names

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand: what the release before this one uses stays as it is."""
    with op.batch_alter_table("executions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("models", sa.Text(), server_default="[]", nullable=False))
