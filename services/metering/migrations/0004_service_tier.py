"""In which tier a provider ran a request, beside the usage; a column more at the end of the view (ADR 52).

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column. Versions before write none, which is the ordinary tier."""
    op.execute("alter table ledger.usage add column service_tier text")
    op.execute(
        """
        do $$ declare known text;
        begin
            select string_agg(quote_ident(column_name), ', ' order by ordinal_position) into known
            from information_schema.columns where table_schema = 'ledger_v1' and table_name = 'usage';
            execute 'create or replace view ledger_v1.usage as select ' || known || ', service_tier from ledger.usage';
        end $$;
        """
    )
