"""Prompts that wait for routes: none is on the log too early, none too late, and no byte stays counted."""

import asyncio

import pytest

from contracts.prompts import PromptSubmitted
from contracts.record import Refusal, ReplyAddress
from contracts.replies import Outcome, PromptWanted, ReplyEnded
from libs.runtime.background import Tasks
from libs.runtime.budget import Budget
from services.ingress.body import Body
from services.ingress.core.errors import Unavailable
from services.ingress.waiting import Replies, Waiting, WaitingRoom
from services.ingress.withheld import Withheld
from tests.unit.records import prompt, request_id

ID, INGRESS = request_id(1), ReplyAddress(partition=0, ingress_id="ingress-1")
WANTED = PromptWanted(request_id=ID, reply_to=INGRESS)


def _nothing(_waiting: Waiting, _offset: int, _at: int) -> Replies:
    return Replies(ID, INGRESS)


class Client:
    """A request that waits in a room, with a prompt of 10 bytes."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.published: list[PromptSubmitted] = []
        self.budget = Budget()
        self.room = WaitingRoom(_nothing)
        self.waiting = self.room.enter(ID, INGRESS, 0)
        self.tasks = Tasks("test")
        self._failure = failure
        body = Body(self.budget, "acct:a")
        body.grow(10)
        self.waiting.withhold(Withheld(prompt(), body, self._publish, self.tasks))

    async def _publish(self, wanted: PromptSubmitted) -> None:
        if self._failure:
            raise self._failure
        self.published.append(wanted)

    async def settled(self) -> None:
        """Returns when what was begun has ended."""
        await self.tasks.wait(10)


async def test_it_is_published_when_it_is_wanted_and_once() -> None:
    client = Client()
    await asyncio.sleep(0)
    assert (client.published, client.budget.held) == ([], 10)
    for _ in range(2):
        client.waiting.push(WANTED, 0)
        await client.settled()
    assert (client.published, client.budget.held) == ([prompt()], 0)
    client.room.leave(ID)
    assert client.budget.held == 0


async def test_of_a_request_that_is_refused_or_left_nothing_is_published() -> None:
    client = Client()
    refusal = Refusal(status=402, message="no credit")
    ended = ReplyEnded(request_id=ID, reply_to=INGRESS, outcome=Outcome.REJECTED, status=402, refusal=refusal)
    client.waiting.push(ended, 0)
    client.room.leave(ID)
    client.waiting.push(WANTED, 1)
    await client.settled()
    assert (client.published, client.budget.held) == ([], 0)


async def test_another_ingress_s_is_not_published() -> None:
    client = Client()
    client.waiting.push(PromptWanted(request_id=ID, reply_to=ReplyAddress(partition=0, ingress_id="ingress-2")), 0)
    await client.settled()
    assert client.published == []


async def test_it_is_published_unasked_where_the_partition_goes_to_another_ingress() -> None:
    client = Client()
    client.room.read_all_again()
    await client.settled()
    assert client.published == [prompt()]


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_log_that_does_not_take_it_ends_the_request(leaves: bool) -> None:
    client = Client(Unavailable("The log is away.", retry_after_s=1))
    client.waiting.push(WANTED, 0)
    if leaves:
        client.room.leave(ID)
    await client.settled()
    last = await client.waiting.next()
    assert isinstance(last, ReplyEnded)
    assert last.status == 503
    assert not client.waiting.answered, "so its cancellation is published"
    assert client.budget.held == 0
