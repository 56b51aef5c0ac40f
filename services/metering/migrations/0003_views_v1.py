"""Version 1 of what other services may read of the ledger: the views of the schema ``ledger_v1``.

A view promises its columns, what they mean, and that a query by owner, day or ID reaches the tables' indexes. Later
revisions may add columns at a view's end (``create or replace view``). What takes a column away, or changes what one
means, is ``ledger_v2`` beside it (ADR 52).

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SUMS = (
    "requests, completed, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, "
    "cost_microdollars, answer_cache_hits"
)
_VIEWS = {
    "usage": "request_id, owner, account_id, organization_id, key_fingerprint, surface, model, provider_id, "
    "upstream_model, outcome, status, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, "
    "reasoning_tokens, input_image_tokens, output_image_tokens, input_audio_tokens, output_audio_tokens, quantities, "
    "estimated, estimated_from, byok, free, attempts, tried, cost_microdollars, catalog_version, price_version, "
    "reserved_microdollars, accepted_at, routed_at, called_at, ended_at, first_byte_ms, task_id, client_version, "
    "mode, streamed, cached_percent, customer, tags, metadata",
    "entries": "entry_id, kind, debit_account, credit_account, amount_microdollars, reference, ordered_by, posted_at",
    "prices": "price_version, tiers, first_used_at",
    "balances": "owner, balance_microdollars, version",
    "usage_daily": f"owner, day, account_id, key_fingerprint, model, {_SUMS}",
    "usage_sums": f"owner, dimension, day, name, {_SUMS}",
    "labels_daily": f"owner, dimension, name, day, account_id, key_fingerprint, model, {_SUMS}",
    "units_daily": "owner, day, account_id, key_fingerprint, model, unit, amount",
    "used_units": "request_id, owner, day, account_id, key_fingerprint, model, unit, amount",
    "used_labels": "request_id, owner, day, account_id, key_fingerprint, model, provider_id, dimension, name, outcome, "
    "input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_microdollars, "
    "cached_percent, quantities, customer, tags",
}
"""The columns of each view. The person that a request was for (``subject``) is for metering alone."""


def upgrade() -> None:
    """Makes the views, over what ``ledger`` has; `deploy.local.postgres` made the schema, and says who may read it."""
    # A role that may make no schema may not even ask for one that is there.
    op.execute("""
        do $$ begin
            if to_regnamespace('ledger_v1') is null then create schema ledger_v1; end if;
        end $$;
    """)
    for name, columns in _VIEWS.items():
        op.execute(f"create view ledger_v1.{name} as select {columns} from ledger.{name}")  # noqa: S608
    # Not by way of `ledger.first_id`: a function reaches what its caller may reach.
    op.execute("""
        create function ledger_v1.first_id(moment timestamptz) returns uuid immutable language sql as $$
            select (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
        $$;
    """)
