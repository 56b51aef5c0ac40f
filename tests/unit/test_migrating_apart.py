"""Migrations in a process of their own."""

from pathlib import Path

import pytest

from libs.database.apart import MigrationError, migrate_apart


async def test_what_went_wrong_is_told_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="ConnectionRefusedError") as raised:
        await migrate_apart("postgresql://owner:s3cret@127.0.0.1:1/none", "ledger", tmp_path)
    assert "s3cret" not in str(raised.value)
