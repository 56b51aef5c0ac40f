"""Payments that a provider of payments reports.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables of payments."""
    op.execute(
        """
        create table control.payments (
            payment_id text primary key,
            owner text not null,
            refunded_microdollars bigint not null default 0 check (refunded_microdollars >= 0),
            created_at timestamptz not null default now()
        );
        """
    )
    op.execute(
        """
        create table control.payment_events (
            event_id text primary key,
            taken_at timestamptz not null default now()
        );
        """
    )
    op.execute("create index payment_events_by_time on control.payment_events (taken_at);")
