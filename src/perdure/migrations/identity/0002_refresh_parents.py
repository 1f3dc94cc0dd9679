"""Refresh parents."""
# ruff: noqa: N999 - steps are loaded by their place, in the order of their names

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand: what the release before this one uses stays as it is."""
    with op.batch_alter_table("session_secrets", schema=None) as batch_op:
        batch_op.add_column(sa.Column("parent", sa.LargeBinary(), nullable=True))

    with op.batch_alter_table("sign_ins", schema=None) as batch_op:
        batch_op.create_index("sign_ins_subject", ["tenant", "subject", "at"], unique=False)
