"""Mail by SMTP: the standard library's client in a thread, since mails are few."""

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Literal

Security = Literal["starttls", "tls", "none"]


class MailError(Exception):
    """A mail was not taken. The message is a status or an error's class: no address, no secret."""

    def __init__(self, message: str, taken: int, *, refused: bool = False) -> None:
        """
        Args:
            taken: so many of the mails were taken before this one.
            refused: the server will never take it (5xx); else it is away, or wants it later.
        """
        super().__init__(message)
        self.taken = taken
        self.refused = refused


@dataclass(frozen=True, slots=True)
class MailServer:
    """Who takes mails, and as whom one comes."""

    host: str
    port: int
    security: Security = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)
    timeout_s: float = 10

    async def send(self, mails: Sequence[EmailMessage]) -> None:
        """Gives all of them to the server, on one connection. Raises MailError at the first that it does not take."""
        taken: list[EmailMessage] = []
        try:
            await asyncio.to_thread(self._send, mails, taken)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            codes = (
                [code for code, _text in error.recipients.values()]
                if isinstance(error, smtplib.SMTPRecipientsRefused)
                else [error.smtp_code]
            )
            refused = all(code >= 500 for code in codes)
            raise MailError(f"SMTP {max(codes)}", len(taken), refused=refused) from None
        except (OSError, smtplib.SMTPException) as error:
            raise MailError(f"no mail: {type(error).__name__}", len(taken)) from None

    def _send(self, mails: Sequence[EmailMessage], taken: list[EmailMessage]) -> None:
        context = ssl.create_default_context()
        client: smtplib.SMTP
        if self.security == "tls":
            client = smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout_s, context=context)
        else:
            client = smtplib.SMTP(self.host, self.port, timeout=self.timeout_s)
        with client:
            if self.security == "starttls":
                client.starttls(context=context)
            if self.user and self.password:
                client.login(self.user, self.password)
            for mail in mails:
                client.send_message(mail)
                taken.append(mail)
