"""Users' own provider keys, envelope-encrypted, and the key pair that they are sealed to on their way in.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables of the schema ``vault``."""
    op.execute(
        """
        create table vault.key_pair (
            one boolean primary key default true check (one),
            kek_version text not null,
            wrapped_key bytea not null,
            ciphertext bytea not null
        );
        """
    )
    op.execute(
        """
        create table vault.credentials (
            credential_id text primary key,
            owner text not null,
            provider_id text not null,
            kek_version text,
            wrapped_key bytea,
            ciphertext bytea,
            tail text,
            submitted_by text not null,
            created_at_ms bigint not null,
            updated_at_ms bigint not null,
            removed boolean not null default false,
            check (removed = (ciphertext is null))
        );
        """
    )
