"""The provider's ``Retry-After`` in every form of RFC 9110, and in none."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.chat.providers.errors import provider_refusal
from libs.chat.providers.retry_after import MOST_S, retry_after_s

NOW = datetime(2026, 11, 26, 8, 49, 30, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("3600", MOST_S),
        ("86400", MOST_S),
        ("Thu, 26 Nov 2026 08:49:37 GMT", 7),
        ("Thursday, 26-Nov-26 08:49:37 GMT", 7),
        ("Thu Nov 26 08:49:37 2026", 7),
        ("Thu, 26 Nov 2026 09:49:37 +0100", 7),
        ("Thu, 26 Nov 2026 08:49:37 -0000", 7),
        ("Thu, 26 Nov 2026 08:49:30 GMT", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Thu, 26 Nov 2099 08:49:37 GMT", MOST_S),
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("\u0667", None),
        ("9" * 5000, None),
        ("Thu, 99 Nov 2026 08:49:37 GMT", None),
        ("Thu, 26 Nov 99999999999999999999 08:49:37 GMT", None),
        ("Thu, 26 Nov 2026 08:49:37 +999999999999", None),
    ],
    ids=str,
)
def test_every_form(header: str | None, seconds: int | None) -> None:
    assert retry_after_s(header, NOW) == seconds


@given(st.text(max_size=120))
def test_no_text_makes_it_fail_or_wait_for_ever(header: str) -> None:
    found = retry_after_s(header, NOW)
    assert found is None or 0 <= found <= MOST_S


@given(st.integers(0, MOST_S))
def test_a_date_is_as_good_as_its_seconds(seconds: int) -> None:
    now = NOW.replace(microsecond=0)
    assert retry_after_s(format_datetime(now + timedelta(seconds=seconds), usegmt=True), now) == seconds


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("given_s", "told_s"), [(None, 5), (0, 0), (40, 40)])
def test_a_client_is_told_when_the_provider_says_so(status: int, given_s: int | None, told_s: int) -> None:
    refusal = provider_refusal(status, b"", provider_id="p", byok=False, retry_after_s=given_s)
    assert refusal.retry_after_s == told_s
