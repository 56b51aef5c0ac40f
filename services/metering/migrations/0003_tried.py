"""Who was asked in vain before.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column; entries that are there have had no word of it."""
    op.execute("alter table ledger.usage add column tried text;")
