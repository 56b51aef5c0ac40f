"""Events as mails."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from services.sinks.core.events import Event


def mail_of(event: Event, sender: str, to: Sequence[str]) -> EmailMessage:
    """A mail in plain text. Its ``Message-ID`` is the event's, so that one that comes twice is seen to be one."""
    mail = EmailMessage()
    mail["From"], mail["To"] = sender, ", ".join(to)
    mail["Message-ID"] = f"<{event.id}@sluice.invalid>"
    mail["Date"] = format_datetime(datetime.fromtimestamp(event.at_ms / 1000, UTC))
    mail["Subject"] = _one_line(f"[Sluice] {_subject(event)}")
    details = json.dumps(event.data, indent=1, ensure_ascii=False)
    mail.set_content(f"{event.data.get('text') or _subject(event)}\n\n{details}\n")
    return mail


def _subject(event: Event) -> str:
    if event.type != "alert.changed":
        return f"{event.type}: {event.subject}"
    state = "over" if not event.data["raised"] else "again" if event.data["number"] > 1 else "new"
    return f"{state}: {event.data['kind']} {event.data['about']}"


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:200])
