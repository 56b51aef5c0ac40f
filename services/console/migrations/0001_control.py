"""Accounts, keys, organizations, policies, credit, the audit trail, and the outbox to the other services.

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
    for statement in (*_ACCOUNTS, *_ORGANIZATIONS, *_LIMITS, *_CREDIT, *_AUDIT, *_CATALOG, *_OUTBOX):
        op.execute(statement)


_ACCOUNTS = (
    """
    create table control.accounts (
        id text primary key,
        email text not null unique,
        token_epoch integer not null default 0,
        disabled boolean not null default false,
        created_at timestamptz not null default now()
    );
    """,
    """
    create table control.api_keys (
        id text primary key,
        account_id text not null references control.accounts (id),
        name text not null,
        fingerprint text not null,
        created_at timestamptz not null default now(),
        expires_at timestamptz not null,
        revoked_at timestamptz,
        scopes text not null default 'inference',
        last_used_at timestamptz
    );
    """,
    "create index api_keys_by_account on control.api_keys (account_id, created_at);",
    "create index api_keys_by_fingerprint on control.api_keys (fingerprint);",
    """
    create table control.sessions (
        id text primary key,
        account_id text references control.accounts (id),
        key_id text references control.api_keys (id),
        operator text,
        token_epoch integer not null,
        begun_at timestamptz not null default now(),
        expires_at timestamptz not null,
        shown_once bytea,
        shown_until timestamptz,
        check ((account_id is null) = (operator is not null))
    );
    """,
    """
    create table control.sign_in_links (
        id text primary key,
        account_id text references control.accounts (id),
        expires_at timestamptz not null
    );
    """,
    """
    create table control.identities (
        issuer text not null,
        subject text not null,
        account_id text not null references control.accounts (id),
        bound_at timestamptz not null default now(),
        primary key (issuer, subject),
        unique (issuer, account_id)
    );
    """,
    """
    create table control.signing_keys (
        kid text primary key,
        public_key bytea not null,
        kek_version text not null,
        wrapped_key bytea not null,
        ciphertext bytea not null,
        created_at timestamptz not null default now(),
        not_after timestamptz
    );
    """,
)

_ORGANIZATIONS = (
    """
    create table control.organizations (
        id text primary key,
        name text not null,
        created_at timestamptz not null default now()
    );
    """,
    """
    create table control.memberships (
        organization_id text not null references control.organizations (id) on delete cascade,
        account_id text not null references control.accounts (id),
        role text not null check (role in ('owner', 'billing_manager', 'member')),
        created_at timestamptz not null default now(),
        primary key (organization_id, account_id)
    );
    """,
    "create index memberships_by_account on control.memberships (account_id);",
    """
    create table control.invitations (
        id text primary key,
        organization_id text not null references control.organizations (id) on delete cascade,
        invited text not null,
        role text not null check (role in ('owner', 'billing_manager', 'member')),
        invited_by text not null,
        created_at timestamptz not null default now(),
        expires_at timestamptz not null,
        unique (organization_id, invited)
    );
    """,
    "create index invitations_by_invited on control.invitations (invited);",
    """
    create table control.policies (
        organization_id text not null references control.organizations (id) on delete cascade,
        version integer not null check (version >= 1),
        document text not null,
        set_by text not null,
        set_at timestamptz not null default now(),
        primary key (organization_id, version)
    );
    """,
)

_LIMITS = (
    """
    create table control.limits (
        owner text primary key,
        version integer not null check (version >= 1),
        document text not null,
        set_by text not null,
        set_at timestamptz not null default now()
    );
    """,
)

_CATALOG = (
    """
    create table control.catalog (
        version integer primary key check (version >= 1),
        source text not null check (source in ('start', 'apply', 'rollback', 'prices')),
        digest text not null,
        record text not null,
        models integer not null,
        providers integer not null,
        set_by text not null,
        set_at timestamptz not null
    );
    """,
    """
    create trigger catalog_is_final before update or delete or truncate on control.catalog
        for each statement execute function control.refuse_change();
    """,
)

_CREDIT = (
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
    """,
    """
    create table control.credit_settings (
        owner text primary key,
        alert_below_microdollars bigint,
        top_up_below_microdollars bigint,
        top_up_microdollars bigint,
        check ((top_up_below_microdollars is null) = (top_up_microdollars is null)),
        check (top_up_microdollars > 0)
    );
    """,
)

_AUDIT = (
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
    """,
    "create index audit_by_organization on control.audit (organization_id, id);",
    """
    create function control.refuse_change() returns trigger language plpgsql as $$
    begin
        raise exception '% is never changed or deleted', tg_table_name;
    end $$;
    """,
    """
    create trigger audit_is_final before update or delete or truncate on control.audit
        for each statement execute function control.refuse_change();
    """,
)

_OUTBOX = (
    """
    create table control.outbox (
        id bigint generated always as identity primary key,
        topic text not null,
        key text not null,
        record text,
        created_at timestamptz not null default now(),
        type text not null,
        event_id text not null,
        traceparent text not null default ''
    );
    """,
    """
    create table control.outbox_cluster (
        cluster_id text primary key,
        filled_at timestamptz not null default now()
    );
    """,
)
