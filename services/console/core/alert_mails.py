"""Mails about alerts to those who can do something about them. Pure."""

from datetime import UTC, datetime, timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from contracts.alerts import AlertChanged
from services.console.answers import Answer
from services.console.core.owners import OwnerKind

SUBJECTS = {"balance-low": "The balance is low", "limit-reached": "A limit is reached"}
"""What owners are notified of; the rest is the operator's."""
FRESH = timedelta(hours=24)
"""What was last said longer ago is not news any more."""
QUIET = timedelta(hours=24)
"""So long the same kind of alert about the same owner is sent to nobody twice."""
MOST_ATTEMPTS = 12
_FIRST_PAUSE = timedelta(minutes=1)
_MOST_PAUSE = timedelta(hours=1)
_KINDS = {"acct": OwnerKind.ACCOUNTS, "org": OwnerKind.ORGANIZATIONS}


class AlertMail(Answer):
    """One mail to one account."""

    id: str
    """Not to be guessed: who has it may end the mails to this account, and nothing else."""
    kind: str
    organization: str | None
    """The name of the organization that the alert is about; None: it is about the account itself."""
    address: str
    text: str
    created_at: datetime
    attempts: int


def is_notified(alert: AlertChanged, now: datetime) -> bool:
    """Owners are notified of this alert."""
    fresh = now.timestamp() * 1000 - alert.at_ms < FRESH / timedelta(milliseconds=1)
    return alert.raised and alert.kind in SUBJECTS and fresh and alert.about.partition(":")[0] in _KINDS


def owner_of(about: str) -> tuple[OwnerKind, str]:
    """Kind and ID of whom an alert is about that `is_notified`."""
    prefix, _, owner_id = about.partition(":")
    return _KINDS[prefix], owner_id


def pause(attempts: int) -> timedelta:
    """After so many attempts that failed, before the next."""
    return min(_FIRST_PAUSE * (1 << min(attempts - 1, 10)), _MOST_PAUSE)


def mail_of(mail: AlertMail, sender: str, console_url: str | None) -> EmailMessage:
    """The mail in plain text. Its ``Message-ID`` is its own, so that one that comes twice is seen to be one.

    Args:
        console_url: where browsers reach the console; None: nobody knows, and the mail has no links.

    Raises:
        ValueError: the account's address is none that a mail can be sent to.
    """
    who = mail.organization or "your account"
    message = EmailMessage()
    try:
        message["From"], message["To"] = sender, Address(addr_spec=mail.address)
    except (MessageError, ValueError, IndexError) as error:
        raise ValueError(type(error).__name__) from None
    message["Message-ID"] = f"<alert-{mail.id}@sluice.invalid>"
    message["Date"] = format_datetime(mail.created_at.astimezone(UTC))
    message["Subject"] = _one_line(f"[Sluice] {SUBJECTS[mail.kind]}: {who}")
    message["Auto-Submitted"] = "auto-generated"
    ending = "To end these mails: ./sluice account alert-mails ACCOUNT off"
    where = ""
    if console_url:
        base = console_url.rstrip("/")
        link = f"{base}/alert-mails/{mail.id}"
        message["List-Unsubscribe"] = f"<{link}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        where, ending = f"See {base}\n\n", f"To end these mails: {link}"
    message.set_content(f"{SUBJECTS[mail.kind]}: {_one_line(who)}.\n\n{mail.text}\n\n{where}{ending}\n")
    return message


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:200])
