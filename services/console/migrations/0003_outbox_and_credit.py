"""The outbox's rows name their record's type; orders of credit, and when an owner wants to hear of their balance.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Until now every topic had one type of record, which was not written down; the reader takes it from the topic.
_TYPES = {
    "control.signing-keys.v1": "SigningKeyPublished",
    "control.accounts.v1": "AccountChanged",
    "control.revocations.v1": "KeyRevoked",
    "control.memberships.v1": "MembershipChanged",
    "control.policies.v1": "PolicySet",
}


def upgrade() -> None:
    """Extends the schema ``control``."""
    op.execute(
        """
        alter table control.outbox
            add column type text,
            add column event_id text,
            add column traceparent text not null default '';
        """
    )
    op.execute(
        """
        create table control.outbox_cluster (
            cluster_id text primary key,
            filled_at timestamptz not null default now()
        );
        """
    )
    for topic, kind in _TYPES.items():
        op.execute(f"update control.outbox set type = '{kind}' where topic = '{topic}';")  # noqa: S608
    op.execute("update control.outbox set event_id = key;")
    op.execute(
        """
        alter table control.outbox
            alter column type set not null,
            alter column event_id set not null;
        """
    )
    op.execute(
        """
        create table control.credit_orders (
            owner text not null,
            idempotency_key text not null,
            entry_id uuid not null unique,
            kind text not null,
            amount_microdollars bigint not null,
            reference text not null,
            ordered_at timestamptz not null default now(),
            primary key (owner, idempotency_key)
        );
        """
    )
    op.execute(
        """
        create table control.credit_settings (
            owner text primary key,
            alert_below_microdollars bigint,
            top_up_below_microdollars bigint,
            top_up_microdollars bigint,
            check ((top_up_below_microdollars is null) = (top_up_microdollars is null)),
            check (top_up_microdollars > 0)
        );
        """
    )
