"""Webhooks of guardrails: what they are asked, what their answers mean, and what is on the log when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from contracts.clock import now_ms
from contracts.control import CredentialChanged
from contracts.guardrails import WebhookRules
from contracts.record import Refusal
from contracts.replies import Outcome, ReplyChunk
from contracts.requests import Caller
from contracts.routes import RoutePlanned
from libs.outbound.addresses import Reachable
from libs.outbound.hooks import HOOK, Hook
from libs.outbound.http import Outbound
from libs.outbound.signatures import new_secret
from libs.sealing.credentials import at_rest
from libs.sealing.envelope import KeyRing, LocalKeys
from services.key_vault.core.book import Credential, CredentialBook
from services.key_vault.core.epochs import Epochs
from services.key_vault.core.granting import Granting
from services.relay.beat import Beat
from services.relay.core.ending import Ending, failed
from services.relay.core.hooking import HookError, refusal_of, unanswered
from services.relay.grants import Grants
from services.relay.hooks import Hooks
from services.relay.reply_stream import MOST_HELD, HeldTooLong, ReplyStream
from tests.hook_receiver import hook_receiver
from tests.unit.bus import SilentLog
from tests.unit.records import accepted, prompt, route
from tests.unit.test_granting import CATALOG

SECRET = new_secret()
RING = KeyRing(LocalKeys({"v1": b"1" * 32}))
MEMBER = Caller(account_id="a", organization_id="o", role="member")


def _book(url: str, owner: str = "org:o") -> CredentialBook:
    book, sealed = CredentialBook(), Hook(url, SECRET).encode().reveal().encode()
    about = CredentialChanged(
        credential_id=f"{owner}/{HOOK}",
        provider_id=HOOK,
        owner=owner,
        tail=url,
        submitted_by="a",
        created_at_ms=0,
        updated_at_ms=0,
    )
    book.put([Credential(about, RING.seal(sealed, at_rest(owner, HOOK)))])
    return book


@asynccontextmanager
async def _asking(url: str, networks: tuple[str, ...] = ("127.0.0.0/8",)) -> AsyncIterator[tuple[Hooks, RoutePlanned]]:
    """What asks a webhook, and a route whose grant a vault has sealed for it."""
    now = now_ms()
    epochs, grants = Epochs(now, lambda _: 1, 4), Grants("r", lambda _: 1)
    grants.own({1}, now)
    epochs.relay_changed("r", grants.announcement(now), now)
    for name, record in epochs.sealed(now).items():
        grants.keys_sealed(name, record)
    request = accepted(caller=MEMBER, subject="org:o", deadline_ms=now + 60_000)
    granted = Granting({"STUB_KEY": "sk"}, _book(url), RING).grant(request, CATALOG, epochs.current)
    outbound = Outbound(Reachable(networks))
    try:
        yield Hooks(outbound, grants), route().model_copy(update={"caller": MEMBER, "hook": granted.hook})
    finally:
        await outbound.stop()


async def test_a_webhook_sees_the_request_and_decides() -> None:
    async with hook_receiver(SECRET) as webhook, _asking(webhook.url) as (hooks, asked):
        assert await hooks.before(asked, prompt(), WebhookRules()) is None
        webhook.answer = {"action": "refuse", "message": "Ask legal first."}
        refusal = await hooks.before(asked, prompt(), WebhookRules())
    assert refusal == Refusal(status=403, message="Ask legal first.", metadata={"rule": "guardrails.webhook.before"})
    seen = webhook.asked[0]
    assert (seen["type"], seen["data"]["role"], seen["data"]["request"]) == (
        "guardrail.before",
        "member",
        prompt().body,
    )


@pytest.mark.parametrize(
    ("answer", "status", "hangs"),
    [
        ({"action": "perhaps"}, 200, False),
        (b"[]", 200, False),
        (b"no JSON", 200, False),
        (b" " * 100_000, 200, False),
        ({"action": "allow"}, 500, False),
        ({"action": "allow"}, 307, False),
        ({"action": "allow"}, 200, True),
    ],
)
async def test_what_is_no_answer_refuses_unless_the_rules_say_otherwise(
    answer: dict[str, Any] | bytes, status: int, hangs: bool
) -> None:
    async with hook_receiver(SECRET) as webhook, _asking(webhook.url) as (hooks, asked):
        webhook.answer, webhook.status, webhook.hangs = answer, status, hangs
        closed, open_ = (WebhookRules(timeout_ms=400, on_failure=one) for one in ("refuse", "allow"))
        refusal = await hooks.before(asked, prompt(), closed)
        assert refusal and (refusal.status, refusal.metadata["rule"]) == (503, "guardrails.webhook.before")
        assert await hooks.before(asked, prompt(), open_) is None


async def test_nothing_is_asked_at_an_address_that_is_not_public_or_without_a_grant() -> None:
    async with hook_receiver(SECRET) as webhook, _asking(webhook.url, ()) as (hooks, asked):
        assert await hooks.before(asked, prompt(), WebhookRules()) is not None
        assert await hooks.before(asked.model_copy(update={"hook": None}), prompt(), WebhookRules()) is not None
        # Another request's grant does not open.
        other = asked.model_copy(update={"request_id": route(2).request_id})
        assert await hooks.before(other, prompt(2), WebhookRules()) is not None
    assert not webhook.asked


async def test_a_stream_is_held_back_until_it_may_go_whole_or_not_at_all() -> None:
    async with hook_receiver(SECRET) as webhook, _asking(webhook.url) as (hooks, asked):
        for webhook.answer in ({"action": "allow"}, {"action": "refuse"}):
            log = SilentLog()
            stream = ReplyStream(log, Beat(), accepted(), [], "")
            stream.hold()
            stream.write("data: one\n\n")
            stream.write("data: two\n\n")
            await stream.close()
            assert stream.started and not stream.full and not log.taken
            ending = Ending(Outcome.COMPLETED, tail=stream.tail("data: end\n\n"), size=stream.size)
            after = asyncio.create_task(hooks.after(asked, ending, stream, WebhookRules(after=True)))
            if webhook.answer["action"] == "allow":
                await log.has_taken(2)
                log.confirm()
                ended = await after
                assert (ended.outcome, ended.size, ended.tail) == (Outcome.COMPLETED, stream.size, ending.tail)
                (chunk,) = [record for record in log.taken if isinstance(record, ReplyChunk)]
                assert chunk.content.count(b"data: ") == 2
            else:
                ended = await after
                assert (ended.outcome, ended.status, ended.tail, ended.size) == (Outcome.FAILED, 403, None, 0)
                assert not log.taken
    answer = webhook.asked[0]["data"]["answer"]
    assert all(word in answer for word in ("one", "two", "end"))


async def test_what_failed_on_its_way_is_shown_to_nobody() -> None:
    async with hook_receiver(SECRET) as webhook, _asking(webhook.url) as (hooks, asked):
        stream = ReplyStream(SilentLog(), Beat(), accepted(), [], "")
        stream.hold()
        stream.write("data: one\n\n")
        ending = failed(Refusal(status=502, message="broke off"))
        ending.tail, ending.size = "data: error\n\n", stream.size
        ended = await hooks.after(asked, ending, stream, WebhookRules(after=True))
    assert (ended.status, ended.tail, ended.size, stream.started) == (502, None, 0, False)
    assert not webhook.asked


def test_what_is_held_back_has_an_end() -> None:
    stream = ReplyStream(SilentLog(), Beat(), accepted(), [], "")
    stream.hold()
    stream.write("x" * (MOST_HELD - 100))
    with pytest.raises(HeldTooLong):
        stream.write("y" * 200)


def test_a_webhook_is_the_organization_s_and_sealed_with_its_address() -> None:
    granting, epoch = Granting({"STUB_KEY": "sk"}, _book("https://example.com/check"), RING), Epochs(0, lambda _: 0, 4)
    member = accepted(caller=MEMBER, subject="org:o")
    granted = granting.grant(member, CATALOG, epoch.current)
    assert granted.hook and granted.hook.provider_id == HOOK and granted.grants
    assert granting.grant(accepted(), CATALOG, epoch.current).hook is None
    for bad in (Hook("https://10.0.0.1/", SECRET), Hook("https://example.com/?a", SECRET), Hook("https://e.com/", "x")):
        with pytest.raises(ValueError, match=r"."):
            bad.check(Reachable())
    assert SECRET not in repr(Hook("https://example.com/check", SECRET))


def test_answers_that_are_none() -> None:
    with pytest.raises(HookError):
        refusal_of(b'{"action": 1}', "before")
    refusal = refusal_of(b'{"action": "refuse", "message": "a\\u0000b"}', "after")
    assert refusal and "guardrail" in refusal.message
    assert unanswered(WebhookRules(on_failure="allow"), "after") is None
