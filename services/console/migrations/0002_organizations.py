"""Organizations, members, policies, key scopes, signing-key retirement, and the audit trail.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Extends the schema ``control``."""
    op.execute("alter table control.api_keys add column scopes text not null default 'inference';")
    op.execute("alter table control.api_keys add column last_used_at timestamptz;")
    op.execute("create index api_keys_by_fingerprint on control.api_keys (fingerprint);")
    op.execute("alter table control.signing_keys add column not_after timestamptz;")
    op.execute(
        """
        create table control.organizations (
            id text primary key,
            name text not null,
            created_at timestamptz not null default now()
        );
        """
    )
    op.execute(
        """
        create table control.memberships (
            organization_id text not null references control.organizations (id) on delete cascade,
            account_id text not null references control.accounts (id),
            role text not null check (role in ('owner', 'billing_manager', 'member')),
            created_at timestamptz not null default now(),
            primary key (organization_id, account_id)
        );
        """
    )
    op.execute("create index memberships_by_account on control.memberships (account_id);")
    op.execute(
        """
        create table control.policies (
            organization_id text not null references control.organizations (id) on delete cascade,
            version integer not null check (version >= 1),
            document text not null,
            set_by text not null,
            set_at timestamptz not null default now(),
            primary key (organization_id, version)
        );
        """
    )
    op.execute(
        """
        create table control.audit (
            id bigint generated always as identity primary key,
            at timestamptz not null default now(),
            actor text not null,
            origin text not null,
            action text not null,
            target text not null,
            organization_id text,
            details text not null
        );
        """
    )
    op.execute("create index audit_by_organization on control.audit (organization_id, id);")
    op.execute(
        """
        create function control.refuse_change() returns trigger language plpgsql as $$
        begin
            raise exception 'the audit trail is never changed or deleted';
        end $$;
        """
    )
    op.execute(
        """
        create trigger audit_is_final before update or delete or truncate on control.audit
            for each statement execute function control.refuse_change();
        """
    )
