"""Times that an operator names."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.console.core.moments import since_ms
from services.console.errors import BadInput


def test_what_is_before_1970_is_its_beginning() -> None:
    # What schemathesis sent, and the first moment that there is in each zone.
    assert since_ms(datetime(190, 9, 9, 5, 41, 22, tzinfo=timezone(timedelta(hours=5, minutes=15)))) == 0
    for hours in (-14, 0, 14):
        assert since_ms(datetime.min.replace(tzinfo=timezone(timedelta(hours=hours)))) == 0
    assert since_ms(datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)) == 2_000
    assert since_ms(datetime.max.replace(tzinfo=UTC)) > 0


def test_a_time_needs_a_zone() -> None:
    with pytest.raises(BadInput):
        since_ms(datetime(2026, 11, 25))
