"""Tells owners by mail of alerts about them. Addresses stay here: the log has owners' IDs alone."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import structlog

from contracts.alerts import AlertChanged
from libs.database.pool import Database
from libs.mail.smtp import MailError, MailServer
from libs.runtime.background import Repeated
from libs.telemetry.instruments import ALERT_MAILS
from services.console.core.alert_mails import MOST_ATTEMPTS, AlertMail, is_notified, mail_of, pause
from services.console.store import alert_mails
from services.console.store.alert_mails import Outcome

log = structlog.get_logger()

EVERY_S = 2.0
LEASE = timedelta(minutes=5)
"""Longer than a server can take for one mail: no other console sends it meanwhile."""
MOST_AT_A_TIME = 20
FAILURES_IN_A_ROW = 3
"""Then the server is left alone until the next round."""


class AlertMails:
    """Makes mails of alerts that are raised, and sends what is due. A mail may come twice, after a kill."""

    def __init__(
        self,
        database: Database,
        alerts: Callable[[], Iterable[AlertChanged]],
        server: MailServer,
        sender: str,
        console_url: str | None,
    ) -> None:
        """
        Args:
            alerts: those that are raised now.
            console_url: where browsers reach the console.
        """
        self._database = database
        self._alerts = alerts
        self._server = server
        self._sender = sender
        self._console_url = console_url
        self._ordered: set[tuple[str, int]] = set()
        self.background = Repeated("mails about alerts", self._round, every_s=EVERY_S)

    async def start(self) -> None:
        """Begins."""
        await self.background.start()

    async def stop(self) -> None:
        """Ends; what is left is sent by the next start."""
        await self.background.stop()

    async def _round(self) -> None:
        await self._order()
        failures = 0
        for _ in range(MOST_AT_A_TIME):
            async with self._database.pool.acquire() as connection:
                mail = await alert_mails.claim(connection, LEASE)
            if mail is None:
                return
            failures = 0 if await self._send(mail) else failures + 1
            if failures == FAILURES_IN_A_ROW:
                return

    async def _order(self) -> None:
        """Alerts that are over are forgotten: they come again under another time."""
        now = datetime.now(UTC)
        notified = {(one.state_key, one.since_ms): one for one in self._alerts() if is_notified(one, now)}
        fresh = notified.keys() - self._ordered
        if fresh:
            async with self._database.pool.acquire() as connection:
                for key in fresh:
                    await alert_mails.order(connection, notified[key])
                await alert_mails.forget(connection)
        self._ordered = set(notified)

    async def _send(self, mail: AlertMail) -> bool:
        """False: the server does not take it now."""
        outcome: Outcome | None = "sent"
        try:
            await self._server.send([mail_of(mail, self._sender, self._console_url)])
        except (MailError, ValueError) as error:
            later = isinstance(error, MailError) and not error.refused
            outcome = None if later and mail.attempts < MOST_ATTEMPTS else "given up" if later else "refused"
            log.warning("an alert's mail was not sent", mail=mail.id, error=str(error), attempts=mail.attempts)
        ALERT_MAILS.add(1, outcome or "failed")
        async with self._database.pool.acquire() as connection:
            if outcome:
                await alert_mails.end(connection, mail, outcome)
            else:
                await alert_mails.wait(connection, mail, pause(mail.attempts))
        return outcome in ("sent", "refused")
