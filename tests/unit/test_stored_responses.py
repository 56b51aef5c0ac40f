"""Stored responses: who has the ID and the owner's key has the response, and nobody else."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.requests import Caller, Surface
from contracts.responses import ResponseDeleted, ResponseStored
from libs.sealing.hybrid import SealError
from libs.sealing.responses import is_ours, locator_of, new_response_id, open_response, seal_response
from services.ingress.core.errors import BadRequest
from services.ingress.core.stored import StoredIndex, continued, page_of
from services.relay.core.keeping import Keeper, is_kept
from tests.unit.records import accepted
from tests.unit.streams import STUBS, events_of, exchange_of, relay

OWNERS = ("acct:a", "org:o")
LOCATORS = [f"{number:032x}" for number in range(8)]


@given(st.binary(max_size=500))
def test_what_is_sealed_opens_with_its_id_for_its_owner_alone(content: bytes) -> None:
    name, other = new_response_id(), new_response_id()
    sealed = seal_response(content, name, owner="acct:a")
    assert open_response(sealed, name, owner="acct:a") == content
    for wrong, owner, blob in (
        (other, "acct:a", sealed),
        (name, "acct:b", sealed),
        (name, "acct:a", sealed[:-1]),
        (name, "acct:a", b""),
    ):
        with pytest.raises(SealError):
            open_response(blob, wrong, owner=owner)


def test_an_id_is_known_by_its_form_and_not_by_its_locator() -> None:
    name = new_response_id()
    assert is_ours(name)
    assert locator_of(name) not in name
    assert len({locator_of(new_response_id()) for _ in range(100)}) == 100
    for theirs in ("resp_123", "resp_sluice_short", f"{name}x", f"{name}\n", None, 7):
        assert not is_ours(theirs)


moves = st.lists(
    st.tuples(st.sampled_from(OWNERS), st.sampled_from(LOCATORS), st.integers(0, 60) | st.none()), max_size=40
)


@given(moves, st.integers(0, 4), st.integers(0, 150))
def test_the_oldest_of_an_owner_make_way(events: list[tuple[str, str, int | None]], most: int, most_bytes: int) -> None:
    index, model = StoredIndex(most=most, most_bytes=most_bytes), {owner: [] for owner in OWNERS}  # type: ignore[var-annotated]
    for at_ms, (owner, locator, size) in enumerate(events):
        kept = model[owner] = [one for one in model[owner] if one[0] != locator]
        if size is None:
            index.apply(ResponseDeleted(locator=locator, owner=owner))
        else:
            kept += [(locator, size, at_ms)] if size <= most_bytes else []
            index.apply(
                ResponseStored(
                    locator=locator, owner=owner, partition=0, offset=at_ms, sealed_bytes=size, expires_at_ms=at_ms + 20
                )
            )
        while len(kept) > most or sum(size for _, size, _ in kept) > most_bytes:
            kept.pop(0)
    now_ms = len(events)

    def found() -> dict[str, set[tuple[str, int]]]:
        places = {owner: [(one, index.find(owner, one, now_ms)) for one in LOCATORS] for owner in OWNERS}
        return {owner: {(one, place.offset) for one, place in all_ if place} for owner, all_ in places.items()}

    expected = {owner: {(one, at) for one, _, at in kept if at + 20 > now_ms} for owner, kept in model.items()}
    assert found() == expected
    index.expire(now_ms)
    assert found() == expected


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ({"store": True}, True),
        ({}, False),
        ({"store": False}, False),
        ({"store": "true"}, False),
        ({"store": True, "previous_response_id": "resp_of_a_provider"}, False),
        ({"store": True, "conversation": "conv_1"}, False),
    ],
)
def test_only_what_the_client_wants_stored_here_is_kept(body: dict[str, Any], kept: bool) -> None:
    assert is_kept(accepted(surface=Surface.RESPONSES), body) == kept
    assert not is_kept(accepted(surface=Surface.CHAT_COMPLETIONS), body)
    assert not is_kept(accepted(surface=Surface.RESPONSES, caller=Caller(ip="10.0.0.1")), body)


@pytest.mark.parametrize("protocol", ["openai-chat", "openai-responses", "anthropic-messages"])
@pytest.mark.parametrize("streamed", [True, False])
async def test_the_answer_has_the_id_under_which_it_is_kept(protocol: Any, streamed: bool) -> None:
    body = {"model": "a/b", "input": "hello"}
    keeper = Keeper(body)
    found = keeper.keeping(exchange_of(Surface.RESPONSES, protocol, body, streamed=streamed))
    stub = STUBS[protocol]
    from deploy.local.stub.answers import answer_to

    path = {"openai-chat": "/chat/completions", "openai-responses": "/responses"}.get(protocol, "/messages")
    answer = answer_to(stub.parse(path, orjson.loads(found.outgoing.content)), stub.call_prefix)
    assert keeper.kept is None
    if streamed:
        words = [stub.word(answer, number) for number in range(len(answer.words))]
        text = await relay(found, [*stub.opening(answer), *words, *stub.closing(answer)])
        responses = [event["response"] for event in events_of(text) if "response" in event]
        assert len(responses) >= 2
        response = responses[-1]
        assert {one["id"] for one in responses} == {keeper.response_id}
    else:
        response = orjson.loads(found.whole(orjson.dumps(stub.whole(answer))).body(None))
    assert (response["id"], response["store"]) == (keeper.response_id, True)
    kept = keeper.kept
    assert kept is not None
    content = orjson.loads(kept.content)
    assert content["response"] == response
    assert content["input"][0]["content"] == [{"type": "input_text", "text": "hello"}]


STORED: dict[str, Any] = {
    "input": [{"role": "user", "content": "one"}],
    "response": {
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "two"}],
            },
            {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "reasoning", "id": "rs_sluice.W10=", "summary": []},
        ]
    },
}


def test_a_request_goes_on_with_all_that_was_before() -> None:
    body = {"model": "m", "previous_response_id": "resp_x", "input": "three", "instructions": "new", "store": True}
    found = continued(body, STORED)
    assert found["input"] == [
        {"role": "user", "content": "one"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "two"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "three"}]},
    ]
    assert {name: found[name] for name in found if name != "input"} == {
        "model": "m",
        "instructions": "new",
        "store": True,
    }


ITEMS = {"input": [{"role": "user", "content": str(number)} for number in range(5)]}


@given(st.integers(1, 7), st.sampled_from(["asc", "desc"]))
def test_pages_together_are_all_items_in_order(limit: int, order: str) -> None:
    got: list[str] = []
    asked = {"limit": str(limit), "order": order}
    while True:
        page = page_of(ITEMS, asked)
        got += [item["content"] for item in page["data"]]
        if not page["has_more"]:
            break
        asked["after"] = page["last_id"]
    assert got == (["0", "1", "2", "3", "4"] if order == "asc" else ["4", "3", "2", "1", "0"])


@pytest.mark.parametrize("asked", [{"limit": "0"}, {"limit": "x"}, {"limit": "1000"}, {"order": "up"}, {"after": "no"}])
def test_wrong_parameters_of_pages_are_named(asked: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        page_of(ITEMS, asked)
