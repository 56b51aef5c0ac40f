"""Mail by SMTP, one a record; the standard library's client in a thread, since mails are few."""

import asyncio
import smtplib
import ssl
from collections.abc import Sequence

from libs.config.sinks import EmailSink
from services.sinks.core.events import Event
from services.sinks.core.mails import mail_of
from services.sinks.sink import RefusedError, UnavailableError


class Email:
    """Sends mails on one connection a batch."""

    most_events = 10

    def __init__(self, config: EmailSink, password: str) -> None:
        self._config = config
        self._password = password

    async def start(self) -> None:
        """Nothing: a connection is made for each batch."""

    async def stop(self) -> None:
        """Nothing."""

    async def deliver(self, events: Sequence[Event]) -> None:
        """See `Sink.deliver`."""
        sent: list[str] = []
        try:
            await asyncio.to_thread(self._send, events, sent)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            codes = (
                [code for code, _text in error.recipients.values()]
                if isinstance(error, smtplib.SMTPRecipientsRefused)
                else [error.smtp_code]
            )
            kind = RefusedError if all(code >= 500 for code in codes) else UnavailableError
            raise kind(f"SMTP {max(codes)}", sent) from None
        except (OSError, smtplib.SMTPException) as error:
            raise UnavailableError(f"no mail: {type(error).__name__}", sent) from None

    def _send(self, events: Sequence[Event], sent: list[str]) -> None:
        config = self._config
        context = ssl.create_default_context()
        client: smtplib.SMTP
        if config.security == "tls":
            client = smtplib.SMTP_SSL(config.host, config.port, timeout=config.timeout_s, context=context)
        else:
            client = smtplib.SMTP(config.host, config.port, timeout=config.timeout_s)
        with client:
            if config.security == "starttls":
                client.starttls(context=context)
            if config.user and self._password:
                client.login(config.user, self._password)
            for event in events:
                client.send_message(mail_of(event, config.sender, config.to))
                sent.append(event.id)
