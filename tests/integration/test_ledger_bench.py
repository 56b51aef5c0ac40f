"""`./sluice bench ledger` makes rows of its own in the tables of metering's migrations."""

from argparse import Namespace

import pytest

from tests.bench.ledger import main


async def test_its_rows_are_rows_of_the_ledger(capsys: pytest.CaptureFixture[str]) -> None:
    await main(Namespace(sizes=[20], seconds=0.0))
    assert "20 rows" in capsys.readouterr().out
