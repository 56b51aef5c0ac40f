"""Brings a ledger of a time before 0.1.0 to what 0001 makes now. 0001 was changed until then, and is not any more.

It adds columns and indexes, and replaces what is computed; a version from before goes on writing meanwhile. While an
index is built the ledger takes no usage, which waits on the log.

Revision ID: 0002
Revises: 0001
"""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COLUMNS = (
    "alter table ledger.usage add column if not exists routed_at timestamptz, "
    "add column if not exists called_at timestamptz",
    *(
        f"alter table ledger.{table} add column if not exists answer_cache_hits bigint not null default 0"
        for table in ("usage_daily", "usage_sums", "labels_daily")
    ),
)


def upgrade() -> None:
    """Adds what is missing; on a ledger that is as released it changes nothing."""
    first = _first_revision()
    indexes = [one for one in first._TABLES if one.startswith("create index usage_")]
    computed = [one for one in first._PROJECTIONS if one.split()[:2] in (["create", "view"], ["create", "function"])]
    for statement in _COLUMNS:
        op.execute(statement)
    for statement in indexes:
        op.execute(statement.replace("create index", "create index if not exists", 1))
    for statement in computed:
        if "create view ledger.used_labels" in statement:
            # A view's columns keep their places when it is replaced.
            op.execute("drop view if exists ledger.used_labels")
        op.execute(statement.replace("create ", "create or replace ", 1))


def _first_revision() -> ModuleType:
    spec = spec_from_file_location("first_revision", Path(__file__).with_name("0001_ledger.py"))
    assert spec and spec.loader
    found = module_from_spec(spec)
    spec.loader.exec_module(found)
    return found
