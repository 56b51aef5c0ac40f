"""Mails about alerts: each is a row before it is sent, so that of several consoles one sends it, through restarts."""

import uuid
from datetime import timedelta
from typing import Literal

from contracts.alerts import AlertChanged
from libs.database.pool import Connection
from services.console.core.alert_mails import QUIET, AlertMail, owner_of
from services.console.core.authorization import Actor
from services.console.core.owners import OwnerKind
from services.console.errors import NotFound
from services.console.store.audit import note

MOST_RECIPIENTS = 20
"""Of one alert."""
KEPT = timedelta(days=40)
"""Longer than an alert that is raised stays on the log."""
Outcome = Literal["sent", "refused", "given up"]

_OF_ACCOUNT = "select id, null as organization from control.accounts where id = $5"
_OF_ORGANIZATION = """
    select m.account_id as id, o.name as organization
    from control.memberships m join control.organizations o on o.id = m.organization_id
    where m.organization_id = $5 and m.role in ('owner', 'billing_manager')
"""


async def order(connection: Connection, alert: AlertChanged) -> None:
    """Makes a mail to each account that can do something about an alert that `is_notified`, and wants to know.

    About an account the account itself is notified, about an organization those who may manage its billing. Nobody is
    notified twice of one alert, or of the same kind about the same owner within `QUIET`.
    """
    kind, owner_id = owner_of(alert.about)
    recipients = _OF_ACCOUNT if kind is OwnerKind.ACCOUNTS else _OF_ORGANIZATION
    await connection.execute(
        "insert into control.alert_mails (kind, about, since_ms, account_id, organization, text) "  # noqa: S608
        f"select $1, $2, $3, a.id, r.organization, $4 from control.accounts a join ({recipients}) r on r.id = a.id "
        "where a.alert_mails and not a.disabled and not exists ("
        "  select 1 from control.alert_mails m where m.account_id = a.id and m.kind = $1 and m.about = $2"
        "  and m.created_at > now() - $6::interval) "
        f"order by a.created_at limit {MOST_RECIPIENTS} on conflict do nothing",
        alert.kind,
        alert.about,
        alert.since_ms,
        alert.text,
        owner_id,
        QUIET,
    )


async def claim(connection: Connection, lease: timedelta) -> AlertMail | None:
    """The next mail that is due, as one more attempt; it is nobody else's before the lease is over.

    What its account does not want any more is passed over.
    """
    row = await connection.fetchrow(
        "update control.alert_mails m set attempts = attempts + 1, next_at = now() + $1::interval "
        "from control.accounts a where a.id = m.account_id and m.id = ("
        "  select w.id from control.alert_mails w join control.accounts o on o.id = w.account_id"
        "  where w.outcome is null and w.next_at <= now() and o.alert_mails and not o.disabled"
        "  order by w.next_at limit 1 for update of w skip locked) "
        "returning m.id, m.kind, m.organization, a.email as address, m.text, m.created_at, m.attempts",
        lease,
    )
    return AlertMail(**(dict(row) | {"id": str(row["id"])})) if row else None


async def end(connection: Connection, mail: AlertMail, outcome: Outcome) -> None:
    """The mail is not tried again."""
    await connection.execute("update control.alert_mails set outcome = $2 where id = $1", uuid.UUID(mail.id), outcome)


async def wait(connection: Connection, mail: AlertMail, pause: timedelta) -> None:
    """The mail is tried again after a pause."""
    await connection.execute(
        "update control.alert_mails set next_at = now() + $2::interval where id = $1", uuid.UUID(mail.id), pause
    )


async def forget(connection: Connection) -> None:
    """Deletes what is older than `KEPT`."""
    await connection.execute("delete from control.alert_mails where created_at < now() - $1::interval", KEPT)


async def wanted(connection: Connection, account_id: str) -> bool:
    """The account is sent mails. Raises NotFound."""
    found: bool | None = await connection.fetchval("select alert_mails from control.accounts where id = $1", account_id)
    if found is None:
        raise _no_account(account_id)
    return found


async def set_wanted(connection: Connection, actor: Actor, account_id: str, on: bool) -> None:
    """Ends mails to an account, or begins them again. Raises NotFound."""
    changed = "update control.accounts set alert_mails = $2 where id = $1 returning id"
    if await connection.fetchval(changed, account_id, on) is None:
        raise _no_account(account_id)
    await note(connection, actor, "account.alert_mails", account_id, on=on)


async def account_of(connection: Connection, mail_id: str) -> str:
    """Whom a mail was sent to. Raises NotFound."""
    try:
        found: str | None = await connection.fetchval(
            "select account_id from control.alert_mails where id = $1", uuid.UUID(mail_id)
        )
    except ValueError:
        found = None
    if found is None:
        raise NotFound("there is no such mail any more; sign in to end mails")
    return found


def _no_account(account_id: str) -> NotFound:
    return NotFound(f"there is no account {account_id!r}, or it is not yours")
