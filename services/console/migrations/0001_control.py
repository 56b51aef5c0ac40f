"""Accounts, API keys, signing keys, and the outbox that tells the other services of them.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables of the schema ``control``."""
    op.execute(
        """
        create table control.accounts (
            id text primary key,
            email text not null unique,
            token_epoch integer not null default 0,
            disabled boolean not null default false,
            created_at timestamptz not null default now()
        );
        """
    )
    op.execute(
        """
        create table control.api_keys (
            id text primary key,
            account_id text not null references control.accounts (id),
            name text not null,
            fingerprint text not null,
            created_at timestamptz not null default now(),
            expires_at timestamptz not null,
            revoked_at timestamptz
        );
        """
    )
    op.execute("create index api_keys_by_account on control.api_keys (account_id, created_at);")
    op.execute(
        """
        create table control.signing_keys (
            kid text primary key,
            public_key bytea not null,
            kek_version text not null,
            wrapped_key bytea not null,
            ciphertext bytea not null,
            created_at timestamptz not null default now()
        );
        """
    )
    op.execute(
        """
        create table control.outbox (
            id bigint generated always as identity primary key,
            topic text not null,
            key text not null,
            record text,
            created_at timestamptz not null default now()
        );
        """
    )
