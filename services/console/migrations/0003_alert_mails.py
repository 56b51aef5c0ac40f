"""Mails about alerts.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table of mails, and says of accounts whether they want them."""
    op.execute("alter table control.accounts add column alert_mails boolean not null default true;")
    op.execute(
        """
        create table control.alert_mails (
            id uuid primary key default gen_random_uuid(),
            kind text not null,
            about text not null,
            since_ms bigint not null,
            account_id text not null references control.accounts (id),
            organization text,
            text text not null,
            attempts integer not null default 0,
            next_at timestamptz not null default now(),
            outcome text check (outcome in ('sent', 'refused', 'given up')),
            created_at timestamptz not null default now(),
            unique (kind, about, since_ms, account_id)
        );
        """
    )
    op.execute("create index alert_mails_waiting on control.alert_mails (next_at) where outcome is null;")
    op.execute("create index alert_mails_by_account on control.alert_mails (account_id, kind, about, created_at);")
    op.execute("create index alert_mails_by_time on control.alert_mails (created_at);")
