"""What the ingress reads of a request, and what it refuses in words that help."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json, to_json

from contracts.prompts import PromptSubmitted
from contracts.requests import Caller, Surface
from libs.config.catalog import Catalog, Offer
from libs.config.gateway import Limits
from libs.config.providers import Model, Provider
from libs.pricing.bounds import Size
from services.ingress.core.admission import bearer_token, content_type_of, header_map
from services.ingress.core.answers import error_body
from services.ingress.core.bodies import Asked, parse
from services.ingress.core.errors import BadRequest, IngressError, Unauthorized, WrongContentType
from tests.unit.arrivals import let_in
from tests.unit.records import Config, request_id

CHAT = Provider(base_url="http://x")
CLAUDE = Provider(base_url="http://x", protocol="anthropic-messages")
RESPONSES = Provider(base_url="http://x", native=["responses"])
GOOD = {"model": "stub/echo", "messages": [{"role": "user", "content": "hi"}]}


def _parse(raw: bytes) -> Asked:
    return parse(Surface.CHAT_COMPLETIONS, raw)


def _chat(model: str = "stub/echo") -> Asked:
    return Asked(Surface.CHAT_COMPLETIONS, model, False, None, 1, Size(10, 0))


def _accept(chat: Asked, caller: Caller | None, headers: dict[str, str] | None = None, *offers: Offer) -> Any:
    catalog = _catalog(*offers or (_offer(provider_id="first", id=chat.model),))
    return let_in(chat, catalog, caller=caller, headers=headers or {})


def _offer(provider_id: str = "p", *, provider: Provider = CHAT, **model: Any) -> Offer:
    described = {"id": "stub/echo", "provider": provider_id, "upstream_model": "u"} | model
    return Offer(Model(**described), provider_id, provider)


def _catalog(*offers: Offer, **sections: Any) -> Catalog:
    providers = {offer.provider_id: offer.provider for offer in offers}
    return Catalog(Config(providers=providers, models=[offer.model for offer in offers], **sections))


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "object"),
        (b'{"a":1},{"b":2}', "JSON"),
        (b'{"a":1}],[{"b":2}', "JSON"),
        (b'{"model":"m","x":NaN}', "JSON"),
        (b'{"model":"m","x":"\\ud800"}', "JSON"),
        (b'{"model":"m","x":' + b"[" * 300 + b"]" * 300 + b"}", "JSON"),
        (orjson.dumps({**GOOD, "model": ""}), "`model`"),
        (orjson.dumps({"messages": GOOD["messages"]}), "`model`"),
        (orjson.dumps({**GOOD, "model": "m" * 201}), "`model`"),
        (orjson.dumps({**GOOD, "model": "a/b\0"}), "`model`"),
        (orjson.dumps({**GOOD, "model": "a/b\n"}), "`model`"),
        (orjson.dumps({**GOOD, "messages": []}), "`messages`"),
        (orjson.dumps({**GOOD, "messages": "hi"}), "`messages`"),
        (orjson.dumps({**GOOD, "stream": "yes"}), "`stream`"),
        (orjson.dumps({**GOOD, "max_tokens": 0}), "`max_tokens`"),
        (orjson.dumps({**GOOD, "max_tokens": 2**62}), "`max_tokens`"),
        (to_json({**GOOD, "model": "a/b:free", "max_tokens": 10**300}), "`max_tokens`"),
        (orjson.dumps({**GOOD, "max_completion_tokens": True}), "`max_completion_tokens`"),
    ],
)
def test_bad_bodies_are_named(body: bytes, hint: str) -> None:
    with pytest.raises(BadRequest) as refused:
        _parse(body)
    assert hint in str(refused.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=10,
)


READ_BY_US = {
    *("background", "cache", "input", "max_completion_tokens", "max_tokens", "metadata", "models", "n", "prompt"),
    *("provider", "route", "session_id", "store", "stream", "tags", "thread", "tools", "user"),
}


@given(st.dictionaries(st.text(max_size=8).filter(lambda name: name not in READ_BY_US), json_values, max_size=5))
def test_what_is_admitted_is_what_the_relay_will_read(extra: dict[str, Any]) -> None:
    raw = to_json({**extra, **GOOD})
    assert _parse(raw) == Asked(Surface.CHAT_COMPLETIONS, "stub/echo", False, None, 1, Size(len(raw), 0))
    record = PromptSubmitted.decode(raw, request_id(1))
    assert (record.request_id, record.content, record.body) == (request_id(1), raw, from_json(raw))


@given(st.binary(max_size=60))
def test_no_bytes_make_it_fail_otherwise(raw: bytes) -> None:
    try:
        _parse(raw)
    except IngressError as error:
        assert error.status == 400


def test_paid_models_need_a_key_and_free_ones_do_not() -> None:
    with pytest.raises(Unauthorized):
        _accept(_chat(), None)
    free = _accept(_chat("stub/echo:free"), None)
    assert (free.subject, free.free, free.caller.ip) == ("ip:10.0.0.1", True, "10.0.0.1")
    signed_in = _accept(_chat("stub/echo:free"), Caller(account_id="a"))
    assert (signed_in.subject, signed_in.caller.account_id) == ("ip:10.0.0.1", "a")


def test_the_subject_is_the_organization_where_there_is_one() -> None:
    assert _accept(_chat("m/x"), Caller(account_id="a")).subject == "acct:a"
    assert _accept(_chat("m/x"), Caller(account_id="a", organization_id="o")).subject == "org:o"


def test_tags_are_kept_and_checked() -> None:
    headers = {"x-kilocode-taskid": " t1 ", "x-kilocode-mode": "code", "x-kilocode-version": "4.2"}
    request = _accept(_chat("m/x"), Caller(account_id="a"), headers)
    assert (request.task_id, request.mode, request.client_version) == ("t1", "code", "4.2")
    for bad in ("x" * 257, "a\x00b"):
        with pytest.raises(BadRequest):
            _accept(_chat("m/x"), Caller(account_id="a"), {"x-kilocode-taskid": bad})


@pytest.mark.parametrize("value", ["", "Basic abc", "Bearer", "Bearer ", "token"])
def test_a_header_that_is_no_bearer_token_is_never_taken_for_no_key(value: str) -> None:
    with pytest.raises(Unauthorized):
        bearer_token({"authorization": value})
    assert bearer_token({}) is None
    assert bearer_token({"authorization": "bearer abc"}) == "abc"


def test_a_model_is_asked_only_for_what_it_is_for() -> None:
    drawing = _offer(surfaces=["images.generations"])
    with pytest.raises(BadRequest, match=r"is for images\.generations"):
        _accept(_chat(), Caller(account_id="a"), {}, drawing)
    asked = replace(_chat(), surface=Surface.IMAGE_GENERATIONS)
    assert _accept(asked, Caller(account_id="a"), {}, drawing).surface is Surface.IMAGE_GENERATIONS


def test_two_authorization_headers_are_refused() -> None:
    with pytest.raises(BadRequest):
        header_map([(b"Authorization", b"Bearer a"), (b"authorization", b"Bearer b")])
    assert header_map([(b"X-A", b"1"), (b"x-a", b"2")]) == {"x-a": "1, 2"}


def test_a_packed_body_is_refused_by_what_it_is() -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    with pytest.raises(WrongContentType, match="without `Content-Encoding`"):
        content_type_of(headers, Surface.CHAT_COMPLETIONS)
    content_type_of(headers | {"content-encoding": "Identity"}, Surface.CHAT_COMPLETIONS)


def test_only_json_is_taken() -> None:
    content_type_of({"content-type": "application/json; charset=utf-8"}, Surface.CHAT_COMPLETIONS)
    for wrong in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        with pytest.raises(WrongContentType):
            content_type_of({"content-type": wrong}, Surface.CHAT_COMPLETIONS)


@pytest.mark.parametrize(
    ("content", "most"),
    [
        ("hello", 0),
        ([{"type": "text", "text": "hello"}], 0),
        ([{"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}], 40_000),
        ([{"type": "image_url", "image_url": "https://example.com/cat.png"}], 40_000),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}], 40_000 - 100_022),
        ([{"type": "image_url"}, {"type": []}, None, "text", {"image_url": {"url": "x"}}], 40_000),
    ],
)
def test_input_is_bounded_by_its_bytes_and_media_by_what_providers_count_at_most(content: Any, most: int) -> None:
    raw = to_json({"model": "m/x", "messages": [{"role": "user", "content": content}]})
    assert _parse(raw).size.tokens_most == len(raw) + most


def test_output_is_bounded_by_what_is_asked_for_or_what_the_relay_will_say() -> None:
    def bounds(*offers: Offer, **asked: Any) -> tuple[int, int | None]:
        chat = _parse(to_json({**GOOD, **asked}))
        request = let_in(chat, _catalog(*offers or (_offer(id="stub/echo"),), limits=Limits(output_tokens=500)))
        return request.output_tokens_most, request.cap_tokens

    assert bounds() == (500, 500)
    assert bounds(max_tokens=7) == (7, None)
    assert bounds(max_tokens=7, max_completion_tokens=9, n=3) == (27, None)
    assert bounds(n=2) == (1_000, 500)
    assert bounds(_offer(max_output_tokens=50, context_length=20)) == (50, 50)
    for wrong in (0, -1, 129, "2", True, 1.5):
        with pytest.raises(BadRequest, match="`n`"):
            bounds(n=wrong)


def test_what_certainly_does_not_fit_the_context_window_is_refused_with_both_numbers() -> None:
    def ask(text_bytes: int) -> Any:
        asked = replace(_chat(), size=Size(text_bytes, 0))
        return let_in(asked, _catalog(_offer(context_length=100)), prompt_bytes=text_bytes)

    assert ask(1_600).input_tokens_most == 100
    with pytest.raises(BadRequest, match=r"100 tokens, and this request about 404"):
        ask(1_616)


@pytest.mark.parametrize("thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}])
def test_a_thread_is_refused_as_the_sdk_knows_it_and_then_sends_the_whole_conversation(thread: dict[str, str]) -> None:
    """Anthropic's SDKs read ``error.details.error_code`` (``ThreadState.ts``, ``_thread_state.py``)."""
    body = {"model": "m/x", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    with pytest.raises(BadRequest) as refused:
        parse(Surface.MESSAGES, to_json({**body, "thread": thread}))
    error = orjson.loads(error_body(refused.value.refusal, Surface.MESSAGES))
    assert error["type"] == "error"
    assert error["error"]["type"] == "invalid_request_error"
    assert error["error"]["details"] == {"error_code": "thread_unsupported_request"}
    assert "whole conversation" in error["error"]["message"]
    assert parse(Surface.MESSAGES, to_json({**body, "thread": None})).model == "m/x"


TURN = {"role": "user", "content": "hi"}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
OF_ANTHROPIC: list[tuple[dict[str, Any], str]] = [
    ({"tools": [SEARCH]}, "web_search"),
    ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "bash"),
    ({"tools": [{"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}]}, "str_replace"),
    ({"messages": [{"role": "user", "content": [{"type": "search_result", "title": "t"}]}]}, "search_result"),
    ({"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]}, "container_upload"),
    ({"messages": [TURN, {"role": "system", "content": [{"type": "tool_addition"}]}]}, "tool_addition"),
]
OF_OPENAI: list[tuple[dict[str, Any], str]] = [
    ({"tools": [{"type": "web_search"}]}, "web_search"),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"prompt": {"id": "pmpt_1"}, "input": None}, "prompt"),
    ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]}, "input_file"),
]


def _asked(surface: Surface, body: dict[str, Any]) -> Asked:
    whole = {"messages": [TURN], "max_tokens": 9} if surface is Surface.MESSAGES else {"input": [TURN]}
    return parse(surface, to_json({"model": "stub/echo", **whole, **body}))


@pytest.mark.parametrize(
    ("surface", "speaking", "body", "named"),
    [
        *((Surface.MESSAGES, CLAUDE, body, named) for body, named in OF_ANTHROPIC),
        *((Surface.RESPONSES, RESPONSES, body, named) for body, named in OF_OPENAI),
    ],
)
def test_what_has_no_form_in_chat_goes_to_who_speaks_the_surface_or_is_refused_by_name(
    surface: Surface, speaking: Provider, body: dict[str, Any], named: str
) -> None:
    asked, caller = _asked(surface, body), Caller(account_id="a")
    assert _accept(asked, caller, None, _offer("own", provider=speaking)).provider_only == []
    both = _offer("other"), _offer("own", provider=speaking)
    assert _accept(asked, caller, None, *both).provider_only == ["own"]
    with pytest.raises(BadRequest, match=named):
        _accept(asked, caller, None, _offer("other"))
    wish = _asked(surface, {**body, "provider": {"only": ["other"]}})
    with pytest.raises(BadRequest, match=named):
        _accept(wish, caller, None, *both)


@pytest.mark.parametrize("surface", [Surface.MESSAGES, Surface.RESPONSES])
def test_what_has_a_form_in_chat_may_go_to_any_provider(surface: Surface) -> None:
    both = _offer("other"), _offer("own", provider=CLAUDE if surface is Surface.MESSAGES else RESPONSES)
    assert _accept(_asked(surface, {}), Caller(account_id="a"), None, *both).provider_only == []
    wish = _asked(surface, {"provider": {"only": ["own", "elsewhere"]}})
    assert _accept(wish, Caller(account_id="a"), None, *both).provider_only == ["own", "elsewhere"]


def test_a_body_is_in_no_repr() -> None:
    assert "hi" not in repr(_asked(Surface.MESSAGES, {}))


@pytest.mark.parametrize("headers", [{"authorization": "Bearer anonymous"}, {"x-api-key": "anonymous"}])
def test_a_key_that_says_anonymous_is_none(headers: dict[str, str]) -> None:
    assert bearer_token(headers) is None


def test_a_session_names_a_task_where_nothing_else_does() -> None:
    caller = Caller(account_id="a")
    assert _accept(_chat("m/x"), caller, {"x-kilo-session": "s"}).task_id == "s"
    assert _accept(_chat("m/x"), caller, {"x-kilo-session": "s", "x-kilocode-taskid": "t"}).task_id == "t"


def test_no_answer_is_asked_to_be_longer_than_its_model_can_make_it() -> None:
    caller = Caller(account_id="a")
    assert _accept(_chat(), caller, {}, _offer(max_completion_tokens=4_096)).cap_tokens == 4_096
    assert _accept(_chat(), caller, {}, _offer(max_completion_tokens=100_000)).cap_tokens == 16_384


def test_tools_that_only_openai_has_go_to_who_has_them_and_are_left_out_elsewhere() -> None:
    tools = [{"type": "custom", "name": "apply_patch"}, {"type": "web_search"}]
    asked, caller = _asked(Surface.RESPONSES, {"tools": tools}), Caller(account_id="a")
    both = _offer("other"), _offer("own", provider=RESPONSES)
    assert _accept(asked, caller, None, *both).provider_only == ["own"]
    assert _accept(asked, caller, None, _offer("other")).provider_only == []
    free = _asked(Surface.RESPONSES, {"tools": tools[:1]})
    assert _accept(free, caller, None, *both).provider_only == []
