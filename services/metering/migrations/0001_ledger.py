"""The ledger: double entry, usage beside it, balances and roll-ups that follow, months as partitions, and the outbox.

Entries and usage are partitioned by their UUIDv7, whose first 48 bits are its time: the primary key stays unique over
all months, and a range of time is a range of IDs.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the schema ``ledger``'s tables, and forbids to change or delete what is written in the journal."""
    for statement in (*_TABLES, *_PROJECTIONS, *_FINAL, *_MONTHS, *_OUTBOX):
        op.execute(statement)


_TABLES = (
    """
    create table ledger.entries (
        entry_id uuid primary key,
        kind text not null,
        debit_account text not null,
        credit_account text not null,
        amount_microdollars bigint not null,
        reference text,
        ordered_by text,
        posted_at timestamptz not null default now(),
        constraint two_sides check (debit_account <> credit_account),
        constraint amount check (amount_microdollars > 0 or (kind = 'charge' and amount_microdollars = 0)),
        constraint accounts check (
            case kind
                when 'charge' then credit_account = 'revenue'
                    and (debit_account like 'credit:_%' or (debit_account = 'nobody' and amount_microdollars = 0))
                when 'top_up' then debit_account = 'cash' and credit_account like 'credit:_%'
                when 'refund' then debit_account like 'credit:_%' and credit_account = 'cash'
                when 'adjustment' then (debit_account = 'adjustments' and credit_account like 'credit:_%')
                    or (debit_account like 'credit:_%' and credit_account = 'adjustments')
                else false
            end
        )
    ) partition by range (entry_id);
    """,
    """
    create table ledger.prices (
        price_version text primary key,
        tiers jsonb not null,
        first_used_at timestamptz not null default now()
    );
    """,
    """
    create table ledger.usage (
        request_id uuid primary key references ledger.entries,
        owner text not null,
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
        input_image_tokens bigint not null check (input_image_tokens >= 0),
        output_image_tokens bigint not null check (output_image_tokens >= 0),
        input_audio_tokens bigint not null check (input_audio_tokens >= 0),
        output_audio_tokens bigint not null check (output_audio_tokens >= 0),
        estimated boolean not null,
        estimated_from text check (estimated_from in ('text', 'bounds', 'time')),
        byok boolean not null,
        free boolean not null,
        attempts integer not null,
        cost_microdollars bigint not null check (cost_microdollars >= 0),
        catalog_version integer not null,
        price_version text not null,
        reserved_microdollars bigint,
        accepted_at timestamptz not null,
        ended_at timestamptz not null,
        first_byte_ms integer,
        task_id text,
        client_version text,
        mode text,
        tried text,
        quantities jsonb,
        streamed boolean not null default false,
        cached_percent smallint,
        routed_at timestamptz,
        called_at timestamptz,
        customer text,
        tags jsonb,
        metadata jsonb
    ) partition by range (request_id);
    """,
    "create index entries_of_credit on ledger.entries (entry_id) where kind <> 'charge';",
    "create index usage_by_owner on ledger.usage (owner, request_id);",
    "create index usage_by_member on ledger.usage (owner, account_id, request_id);",
    "create index usage_by_customer on ledger.usage (owner, customer, request_id) where customer is not null;",
    "create index usage_with_tags on ledger.usage (owner, request_id) where tags is not null;",
    "create index usage_with_quantities on ledger.usage (owner, request_id) where quantities is not null;",
    "create index usage_by_cost on ledger.usage (cost_microdollars);",
    "create index usage_by_duration on ledger.usage ((ended_at - accepted_at));",
    "create index usage_not_completed on ledger.usage (owner, outcome, request_id) where outcome <> 'completed';",
)

_SUMS = (
    "requests",
    "completed",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_microdollars",
    "answer_cache_hits",
)
_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_COUNTED = (
    f"count(*), count(*) filter (where outcome = 'completed'), {', '.join(f'sum({name})' for name in _TOKENS)}, "
    "sum(cost_microdollars), count(cached_percent)"
)
"""`_SUMS` of requests."""
_SUM_COLUMNS = ", ".join(f"{name} bigint not null" for name in _SUMS)
_ADDED = ", ".join(f"{name} = known.{name} + excluded.{name}" for name in _SUMS)

_PROJECTIONS = (
    """
    create table ledger.balances (
        owner text primary key,
        balance_microdollars bigint not null,
        version bigint not null
    );
    """,
    """
    create function ledger.move_balances() returns trigger language plpgsql as $$
    begin
        insert into ledger.balances as known (owner, balance_microdollars, version)
        select owner, sum(amount), 1
        from (
            select substr(credit_account, 8) as owner, amount_microdollars as amount
            from added where credit_account like 'credit:%' and amount_microdollars > 0
            union all
            select substr(debit_account, 8), -amount_microdollars
            from added where debit_account like 'credit:%' and amount_microdollars > 0
        ) as moved
        group by owner
        order by owner
        on conflict (owner) do update
            set balance_microdollars = known.balance_microdollars + excluded.balance_microdollars,
                version = known.version + 1;
        return null;
    end $$;
    """,
    """
    create trigger balances_follow after insert on ledger.entries
        referencing new table as added for each statement execute function ledger.move_balances();
    """,
    """
    create view ledger.derived_balances as
        select owner, sum(amount)::bigint as balance_microdollars
        from (
            select substr(credit_account, 8) as owner, amount_microdollars as amount
            from ledger.entries where credit_account like 'credit:%' and amount_microdollars > 0
            union all
            select substr(debit_account, 8), -amount_microdollars
            from ledger.entries where debit_account like 'credit:%' and amount_microdollars > 0
        ) as moved
        group by owner;
    """,
    f"""
    create table ledger.usage_daily (
        owner text not null,
        day date not null,
        account_id text not null,
        key_fingerprint text not null,
        model text not null,
        {_SUM_COLUMNS},
        primary key (owner, day, account_id, key_fingerprint, model)
    );
    """,
    "create index usage_daily_by_day on ledger.usage_daily (day);",
    "create index usage_daily_by_member on ledger.usage_daily (account_id, owner, day);",
    # What the console's pages add up: an owner's day, and that day by one of model, member and key.
    f"""
    create table ledger.usage_sums (
        owner text not null,
        dimension text not null check (dimension in ('day', 'model', 'member', 'key', 'provider')),
        day date not null,
        name text not null,
        {_SUM_COLUMNS},
        primary key (owner, dimension, day, name)
    );
    """,
    "create index usage_sums_by_day on ledger.usage_sums (dimension, day);",
    # By what clients name their requests: one row for each tag, and one for the customer. Nothing of others.
    f"""
    create table ledger.labels_daily (
        owner text not null,
        dimension text not null check (dimension in ('tag', 'customer')),
        name text not null,
        day date not null,
        account_id text not null,
        key_fingerprint text not null,
        model text not null,
        {_SUM_COLUMNS},
        primary key (owner, dimension, name, day, account_id, key_fingerprint, model)
    );
    """,
    "create index labels_daily_by_day on ledger.labels_daily (owner, dimension, day);",
    """
    create table ledger.units_daily (
        owner text not null,
        day date not null,
        account_id text not null,
        key_fingerprint text not null,
        model text not null,
        unit text not null,
        amount bigint not null,
        primary key (owner, day, account_id, key_fingerprint, model, unit)
    );
    """,
    "create index units_daily_by_day on ledger.units_daily (day);",
    """
    create view ledger.used_units as
        select request_id, owner, (accepted_at at time zone 'UTC')::date as day, coalesce(account_id, '') as account_id,
            coalesce(key_fingerprint, '') as key_fingerprint, model, unit, amount
        from ledger.usage, jsonb_to_recordset(quantities) as used (unit text, amount bigint)
        where quantities is not null;
    """,
    """
    create view ledger.used_labels as
        select request_id, owner, (accepted_at at time zone 'UTC')::date as day, coalesce(account_id, '') as account_id,
            coalesce(key_fingerprint, '') as key_fingerprint, model, provider_id, label.dimension, label.name, outcome,
            input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_microdollars,
            cached_percent, quantities, customer, tags
        from ledger.usage, lateral (
            select 'customer' as dimension, customer as name where customer is not null
            union all
            select 'tag', tag from jsonb_array_elements_text(coalesce(tags, '[]')) as tag
        ) as label
        where customer is not null or tags is not null;
    """,
    f"""
    create function ledger.roll_up_labels(ids uuid[]) returns void language sql as $$
        insert into ledger.labels_daily as known
        select owner, dimension, name, day, account_id, key_fingerprint, model,
            {_COUNTED}
        from ledger.used_labels where ids is null or request_id = any(ids)
        group by 1, 2, 3, 4, 5, 6, 7
        order by 1, 2, 3, 4, 5, 6, 7
        on conflict (owner, dimension, name, day, account_id, key_fingerprint, model) do update set
            {_ADDED};
    $$;
    """,  # noqa: S608
    f"""
    create function ledger.roll_up() returns trigger language plpgsql as $$
    begin
        insert into ledger.usage_daily as known
        select owner, (accepted_at at time zone 'UTC')::date as day, coalesce(account_id, ''),
            coalesce(key_fingerprint, ''), model, {_COUNTED}
        from added
        group by 1, 2, 3, 4, 5
        order by 1, 2, 3, 4, 5
        on conflict (owner, day, account_id, key_fingerprint, model) do update set
            {_ADDED};
        insert into ledger.usage_sums as known
        select owner, dimension, (accepted_at at time zone 'UTC')::date as day, name,
            {_COUNTED}
        from added, lateral (values ('day', ''), ('model', model), ('member', coalesce(account_id, '')),
            ('key', coalesce(key_fingerprint, '')), ('provider', coalesce(provider_id, ''))) as summed (dimension, name)
        group by 1, 2, 3, 4
        order by 1, 2, 3, 4
        on conflict (owner, dimension, day, name) do update set
            {_ADDED};
        if exists (select from added where quantities is not null) then
            insert into ledger.units_daily as known
            select owner, (accepted_at at time zone 'UTC')::date, coalesce(account_id, ''),
                coalesce(key_fingerprint, ''), model, unit, sum(amount)
            from added, jsonb_to_recordset(quantities) as used (unit text, amount bigint)
            where quantities is not null
            group by 1, 2, 3, 4, 5, 6
            order by 1, 2, 3, 4, 5, 6
            on conflict (owner, day, account_id, key_fingerprint, model, unit) do update set
                amount = known.amount + excluded.amount;
        end if;
        if exists (select from added where customer is not null or tags is not null) then
            perform ledger.roll_up_labels(
                array(select request_id from added where customer is not null or tags is not null)
            );
        end if;
        return null;
    end $$;
    """,  # noqa: S608
    """
    create trigger roll_ups_follow after insert on ledger.usage
        referencing new table as added for each statement execute function ledger.roll_up();
    """,
    f"""
    create function ledger.rebuild() returns void language plpgsql as $$
    begin
        lock table ledger.entries, ledger.usage in share mode;
        insert into ledger.balances as known (owner, balance_microdollars, version)
        select owner, balance_microdollars, 1 from ledger.derived_balances
        on conflict (owner) do update
            set balance_microdollars = excluded.balance_microdollars, version = known.version + 1
            where known.balance_microdollars <> excluded.balance_microdollars;
        delete from ledger.balances where owner not in (select owner from ledger.derived_balances);
        delete from ledger.usage_daily;
        insert into ledger.usage_daily
        select owner, (accepted_at at time zone 'UTC')::date, coalesce(account_id, ''), coalesce(key_fingerprint, ''),
            model, {_COUNTED}
        from ledger.usage
        group by 1, 2, 3, 4, 5;
        delete from ledger.usage_sums;
        insert into ledger.usage_sums
        select owner, dimension, day, name, {", ".join(f"sum({name})" for name in _SUMS)}
        from ledger.usage_daily, lateral (values ('day', ''), ('model', model), ('member', account_id),
            ('key', key_fingerprint)) as summed (dimension, name)
        group by 1, 2, 3, 4
        union all
        select owner, 'provider', (accepted_at at time zone 'UTC')::date, coalesce(provider_id, ''), {_COUNTED}
        from ledger.usage
        group by 1, 3, 4;
        delete from ledger.units_daily;
        insert into ledger.units_daily
        select owner, day, account_id, key_fingerprint, model, unit, sum(amount)
        from ledger.used_units
        group by 1, 2, 3, 4, 5, 6;
        delete from ledger.labels_daily;
        perform ledger.roll_up_labels(null);
    end $$;
    """,  # noqa: S608
)

# Row triggers reach the partitions, of whose names a statement may make use; those on TRUNCATE come with each month.
_FINAL = (
    """
    create function ledger.refuse_change() returns trigger language plpgsql as $$
    begin
        raise exception 'ledger entries are never changed or deleted';
    end $$;
    """,
    *(
        f"create trigger {table}_are_final before update or delete on ledger.{table} "
        "for each row execute function ledger.refuse_change();"
        for table in ("entries", "usage", "prices")
    ),
    *(
        f"create trigger {table}_stay before truncate on ledger.{table} "
        "for each statement execute function ledger.refuse_change();"
        for table in ("entries", "usage", "prices")
    ),
)

_MONTHS = (
    """
    create function ledger.first_id(moment timestamptz) returns uuid immutable language sql as $$
        select (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
    $$;
    """,
    """
    create function ledger.ensure_month(month date) returns void language plpgsql as $$
    declare
        begins timestamptz := date_trunc('month', month::timestamp) at time zone 'UTC';
        ends timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') at time zone 'UTC';
        parent text;
        part text;
    begin
        perform pg_advisory_xact_lock(hashtext('ledger months'));
        foreach parent in array array['entries', 'usage'] loop
            part := parent || to_char(month, '_YYYY_MM');
            if to_regclass(format('ledger.%I', part)) is null then
                execute format(
                    'create table ledger.%I partition of ledger.%I for values from (%L) to (%L)',
                    part, parent, ledger.first_id(begins), ledger.first_id(ends)
                );
                execute format(
                    'create trigger %I before truncate on ledger.%I '
                    'for each statement execute function ledger.refuse_change()',
                    part || '_stays', part
                );
            end if;
        end loop;
    end $$;
    """,
)

_OUTBOX = (
    """
    create table ledger.outbox_cluster (
        cluster_id text primary key,
        filled_at timestamptz not null default now()
    );
    """,
    """
    create table ledger.outbox (
        id bigint generated always as identity primary key,
        topic text not null,
        key text not null,
        type text not null,
        event_id text not null,
        traceparent text not null,
        record text
    );
    """,
    """
    create table ledger.alerts (
        owner text primary key,
        low_notified boolean not null,
        top_up_notified boolean not null
    );
    """,
)
