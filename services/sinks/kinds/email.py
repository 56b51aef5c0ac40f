"""Mail by SMTP, one a record."""

from collections.abc import Sequence

from libs.config.sinks import EmailSink
from libs.mail.smtp import MailError, MailServer
from services.sinks.core.events import Event
from services.sinks.core.mails import mail_of
from services.sinks.sink import RefusedError, UnavailableError


class Email:
    """Sends mails on one connection a batch."""

    most_events = 10

    def __init__(self, config: EmailSink, password: str) -> None:
        self._config = config
        self._server = MailServer(
            config.host, config.port, config.security, config.user or "", password, config.timeout_s
        )

    async def start(self) -> None:
        """Nothing: a connection is made for each batch."""

    async def stop(self) -> None:
        """Nothing."""

    async def deliver(self, events: Sequence[Event]) -> None:
        """See `Sink.deliver`."""
        try:
            await self._server.send([mail_of(event, self._config.sender, self._config.to) for event in events])
        except MailError as error:
            kind = RefusedError if error.refused else UnavailableError
            raise kind(str(error), [event.id for event in events[: error.taken]]) from None
