"""Who is notified of which alerts by mail, and what a mail says."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.alerts import AlertChanged
from services.console.core.alert_mails import AlertMail, is_notified, mail_of, owner_of, pause
from services.console.core.owners import OwnerKind

NOW = datetime(2026, 11, 27, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
ALERT = AlertChanged(
    kind="balance-low",
    about="org:org_1",
    raised=True,
    since_ms=NOW_MS,
    number=1,
    at_ms=NOW_MS,
    text="the balance of org:org_1 is 1.00 USD, below 5.00",
)
MAIL = AlertMail(
    id="6b0f6f8e-3f0c-4e0e-9d0c-2d8f6f2b8a10",
    kind="balance-low",
    organization="Acme",
    address="ada@example.com",
    text=ALERT.text,
    created_at=NOW,
    attempts=1,
)


@pytest.mark.parametrize(
    ("changes", "notified"),
    [
        ({}, True),
        ({"about": "acct:acct_1"}, True),
        ({"kind": "limit-reached"}, True),
        ({"number": 7}, True),
        ({"raised": False}, False),
        ({"at_ms": NOW_MS - 25 * 3_600_000}, False),
        ({"kind": "provider-down", "about": "openai"}, False),
        ({"kind": "dead-letters", "about": "dead-letters"}, False),
        ({"about": "ip:127.0.0.1"}, False),
    ],
)
def test_owners_are_notified_of_what_is_raised_about_them(changes: dict[str, object], notified: bool) -> None:
    assert is_notified(ALERT.model_copy(update=changes), NOW) is notified


def test_an_owner_is_an_organization_or_an_account() -> None:
    assert owner_of("org:org_1") == (OwnerKind.ORGANIZATIONS, "org_1")
    assert owner_of("acct:acct_1") == (OwnerKind.ACCOUNTS, "acct_1")


def test_a_mail_says_what_is_so_and_how_to_end_them_with_one_click() -> None:
    mail = mail_of(MAIL, "sluice@example.com", "https://console.example.com/")
    link = f"https://console.example.com/alert-mails/{MAIL.id}"
    assert (mail["To"], mail["From"]) == ("ada@example.com", "sluice@example.com")
    assert mail["Subject"] == "[Sluice] The balance is low: Acme"
    assert (mail["List-Unsubscribe"], mail["List-Unsubscribe-Post"]) == (f"<{link}>", "List-Unsubscribe=One-Click")
    assert MAIL.text in mail.get_content() and link in mail.get_content()
    assert MAIL.id in mail["Message-ID"]


def test_where_nobody_knows_the_console_s_address_there_are_no_links() -> None:
    mail = mail_of(MAIL, "sluice@example.com", None)
    assert mail["List-Unsubscribe"] is None
    assert "http" not in mail.get_content() and "account alert-mails" in mail.get_content()


def test_an_organization_s_name_brings_no_header_of_its_own() -> None:
    mail = mail_of(MAIL.model_copy(update={"organization": "A\r\nBcc: eve@example.com"}), "s@example.com", None)
    assert mail["Bcc"] is None and "\n" not in mail["Subject"]


@pytest.mark.parametrize("address", ["a,eve@example.com", "a@b@c", "ada", "", "ada@example.com, eve@example.com"])
def test_an_address_is_one_address(address: str) -> None:
    with pytest.raises(ValueError, match=r"^\w+$"):
        mail_of(MAIL.model_copy(update={"address": address}), "sluice@example.com", None)


def test_who_takes_no_mail_is_asked_later_and_later() -> None:
    assert [pause(attempts) for attempts in (1, 2, 3, 12)] == [
        timedelta(minutes=1),
        timedelta(minutes=2),
        timedelta(minutes=4),
        timedelta(hours=1),
    ]
