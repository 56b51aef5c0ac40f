"""Owners are notified by mail of what they can do something about, at a real mail server, until they want no more."""

import re
from collections.abc import AsyncIterator
from email import message_from_string, policy
from email.message import EmailMessage

import httpx
import pytest
import pytest_asyncio

from deploy.local.ports import LOOPBACK
from services.sinks.kit import Mood
from tests.e2e.plane import Person, Plane
from tests.receivers import MailReceiver
from tests.stacks import NotYet, running_stack, until

PUBLIC_URL = "https://console.sluice.example"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mails() -> AsyncIterator[MailReceiver]:
    receiver = MailReceiver()
    receiver.start()
    yield receiver
    receiver.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(
    kafka: str, forks: None, tmp_path_factory: pytest.TempPathFactory, mails: MailReceiver
) -> AsyncIterator[Plane]:
    environment = {
        "SLUICE_BILLING__PREPAID": "true",
        "SLUICE_CONSOLE_MAIL_HOST": LOOPBACK,
        "SLUICE_CONSOLE_MAIL_PORT": str(mails.port),
        "SLUICE_CONSOLE_MAIL_SECURITY": "none",
        "SLUICE_CONSOLE_MAIL_SENDER": "sluice@sluice.example",
        "SLUICE_CONSOLE_PUBLIC_URL": PUBLIC_URL,
    }
    async with running_stack(tmp_path_factory.mktemp("mails"), kafka, environment=environment) as gateway:
        yield Plane(gateway, 1)


def _read(mails: MailReceiver) -> list[EmailMessage]:
    return [message_from_string(text, EmailMessage, policy=policy.default) for text in mails.mails]


async def _address(plane: Plane, person: Person) -> str:
    accounts = await plane.gateway.database.fetchval(
        "select email from control.accounts where id = $1", person.account_id
    )
    return str(accounts)


async def _to(mails: MailReceiver, count: int, *words: str) -> list[EmailMessage]:
    """The mails that have these words in their subject, once there are so many."""

    async def so_many() -> list[EmailMessage] | NotYet:
        found = [mail for mail in _read(mails) if all(word in mail["Subject"] for word in words)]
        return found if len(found) >= count else NotYet([mail["Subject"] for mail in _read(mails)])

    return await until(so_many, what=f"{count} mails about {words}")


async def _low(plane: Plane, path: str, key: str) -> None:
    """Has an owner's balance be below what the owner wants to be notified of."""
    await plane.call("POST", f"{path}/credit", {"usd": "0.5"})

    async def entered() -> bool | None:
        return (await plane.call("GET", f"{path}/credit", key=key))["balance_microdollars"] == 500_000 or None

    await until(entered, what="the credit")
    await plane.call("PUT", f"{path}/credit/settings", {"alert_below": "1"}, key=key)


async def test_those_who_manage_an_organization_s_billing_are_told_and_end_it_with_one_click(
    plane: Plane, mails: MailReceiver
) -> None:
    owner, manager, member = [await plane.person() for _ in range(3)]
    organization = (await plane.call("POST", "/api/organizations", {"name": "Acme & Söhne"}, key=owner.key))["id"]
    await plane.join(organization, owner, manager, "billing_manager")
    await plane.join(organization, owner, member)
    # A server that is away for a moment is asked again.
    mails.mood = Mood.AWAY
    await _low(plane, f"/api/organizations/{organization}", owner.key)

    async def put_off() -> bool | None:
        both: int = await plane.gateway.database.fetchval(
            "select count(*) from control.alert_mails where about = $1 and next_at < now() + interval '2 minutes' "
            "and attempts = 1",
            f"org:{organization}",
        )
        return both == 2 or None

    await until(put_off, what="both mails that wait for another attempt")
    mails.mood = Mood.TAKES
    await plane.gateway.database.execute("update control.alert_mails set next_at = now() where outcome is null")
    found = await _to(mails, 2, "balance is low", "Acme & Söhne")
    assert {mail["To"] for mail in found} == {await _address(plane, owner), await _address(plane, manager)}
    assert "0.50 USD, below 1.00" in found[0].get_content()

    link = str(found[0]["List-Unsubscribe"]).strip("<>")
    assert link.startswith(f"{PUBLIC_URL}/alert-mails/")
    async with httpx.AsyncClient(base_url=plane.gateway.stack.console_url, trust_env=False) as http:
        path = link.removeprefix(PUBLIC_URL)
        assert "Send me none" in (await http.get(path)).text
        who = {await _address(plane, one): one for one in (owner, manager)}[found[0]["To"]]
        state = f"/api/accounts/{who.account_id}/alert-mails"
        assert await plane.call("GET", state, key=who.key) == {"id": who.account_id, "on": True, "sent": True}
        # As Gmail does it: from its own site, without a cookie.
        one_click = await http.post(
            path, data={"List-Unsubscribe": "One-Click"}, headers={"Sec-Fetch-Site": "cross-site"}
        )
        assert one_click.status_code == 200
        assert (await plane.call("GET", state, key=who.key))["on"] is False
        for wrong in ("x", "00000000-0000-4000-8000-000000000000"):
            assert (await http.post(f"/alert-mails/{wrong}")).status_code == 404

    # The next alert is sent to who still wants to know; the same kind would come again after a day.
    await plane.gateway.database.execute("update control.alert_mails set created_at = now() - interval '25 hours'")
    path = f"/api/organizations/{organization}"
    await plane.call("POST", f"{path}/credit", {"usd": "10"})

    async def over() -> bool | None:
        raised = await plane.call("GET", "/api/alerts")
        return not any(one["about"] == f"org:{organization}" for one in raised) or None

    await until(over, what="the alert's end")
    await plane.call("POST", f"{path}/credit", {"usd": "-9.9", "kind": "adjustment"})
    other = {owner.account_id: manager, manager.account_id: owner}[who.account_id]
    assert (await _to(mails, 3, "balance is low", "Acme & Söhne"))[2]["To"] == await _address(plane, other)


async def test_an_account_is_notified_once_of_a_limit_and_sees_on_its_page_how_to_end_it(
    plane: Plane, mails: MailReceiver
) -> None:
    person = await plane.person()
    address = await _address(plane, person)
    for _ in range(3):
        assert (await plane.ask(person.key, "hi", model="stub/large")).status_code == 402
    (mail,) = [one for one in await _to(mails, 1, "limit is reached", "your account") if one["To"] == address]
    assert "credit does not cover" in mail.get_content()
    async with httpx.AsyncClient(base_url=plane.gateway.stack.console_url, trust_env=False) as http:
        await http.post("/sign-in", data={"key": person.key})
        home = (await http.get("/me/home")).text
        form = re.search(r'name="csrf" value="([0-9a-f]{64})"', home)
        assert form and "Mails about alerts" in home and 'value="no"' in home
        changed = await http.post("/me/alert-mails", data={"csrf": form[1], "on": "no"})
        assert changed.headers["location"].endswith("?said=mails-off")
        assert 'value="yes"' in (await http.get("/me/home")).text
    trail = await plane.call("GET", "/api/audit")
    assert any(one["action"] == "account.alert_mails" and one["target"] == person.account_id for one in trail)
    sent = await plane.gateway.database.fetch(
        "select outcome from control.alert_mails where account_id = $1", person.account_id
    )
    assert [row["outcome"] for row in sent] == ["sent"]
