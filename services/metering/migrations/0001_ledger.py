"""The ledger: one entry a request, never changed.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates ``ledger.entries`` and forbids to change or delete what stands in it."""
    op.execute(
        """
        create table ledger.entries (
            request_id uuid primary key,
            subject text not null,
            account_id text,
            organization_id text,
            key_fingerprint text,
            surface text not null,
            model text not null,
            provider_id text,
            upstream_model text,
            outcome text not null
                check (outcome in ('completed', 'rejected', 'failed', 'cancelled', 'interrupted')),
            status integer not null,
            input_tokens bigint not null check (input_tokens >= 0),
            output_tokens bigint not null check (output_tokens >= 0),
            cache_read_tokens bigint not null check (cache_read_tokens >= 0),
            cache_write_tokens bigint not null check (cache_write_tokens >= 0),
            reasoning_tokens bigint not null check (reasoning_tokens >= 0),
            estimated boolean not null,
            byok boolean not null,
            free boolean not null,
            attempts integer not null,
            cost_microdollars bigint not null check (cost_microdollars >= 0),
            price_version text not null,
            accepted_at timestamptz not null,
            ended_at timestamptz not null,
            first_byte_ms integer,
            task_id text,
            client_version text,
            mode text,
            posted_at timestamptz not null default now()
        );
        """
    )
    op.execute("create index entries_by_subject on ledger.entries (subject, accepted_at);")
    op.execute(
        """
        create function ledger.refuse_change() returns trigger language plpgsql as $$
        begin
            raise exception 'ledger entries are never changed or deleted';
        end $$;
        """
    )
    op.execute(
        """
        create trigger entries_are_final before update or delete or truncate on ledger.entries
            for each statement execute function ledger.refuse_change();
        """
    )
