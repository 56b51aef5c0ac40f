"""How the console's pages write times, sizes, limits, and what was noted of a change."""

from datetime import UTC, datetime

from services.console.core.owners import Owner, OwnerKind
from services.console.web.pages import day, details, limit_name, minute, moment, size, within

AT = datetime(2026, 11, 27, 18, 20, 49, 900_000, tzinfo=UTC)


def test_times_are_as_exact_as_they_must_be() -> None:
    assert moment(AT) == "Nov 27 18:20:49"
    assert minute(AT) == "2026-11-27 18:20"
    assert day(int(AT.timestamp() * 1000)) == "2026-11-27"
    assert (minute(None), day(None)) == ("never", "never")


def test_sizes_have_units() -> None:
    assert [size(one) for one in (0, 999, 1_000, 2_440_000, 3 * 10**9)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "2.4 MB",
        "3.0 GB",
    ]


def test_a_limit_is_named_as_people_say_it() -> None:
    assert limit_name("usd_per_day") == "USD per day"
    assert limit_name("tokens_per_minute") == "tokens per minute"


def test_what_was_noted_is_no_python() -> None:
    noted = {
        "scope": "all",
        "meters": {"usd_per_month": "120", "requests_per_day": None},
        "on": True,
        "names": ["a", "b"],
    }
    assert details(noted) == [
        ("scope", "all"),
        ("USD per month", "120"),
        ("requests per day", "none"),
        ("on", "yes"),
        ("names", "a, b"),
    ]


def test_a_change_is_named_by_what_is_within_the_organization() -> None:
    owner = Owner(OwnerKind.ORGANIZATIONS, "org_a")
    assert within("org:org_a/google", owner) == "google"
    assert within("org:org_a/mcp/github", owner) == "mcp/github"
    assert within("org_a", owner) == within("org:org_a", owner) == "the organization"
    assert within("acct_b", owner) == "acct_b"
    assert within("org:org_a/google", None) == "org:org_a/google"
