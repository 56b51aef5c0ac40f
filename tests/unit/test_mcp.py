"""MCP without I/O: messages, names, rules, addresses, and what becomes of a request on its way."""

import json
from base64 import b64decode
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.control import PolicySet
from contracts.decisions import CredentialGranted
from contracts.mcp import MODEL, ToolRules, full_name, provider_of, server_of, split_name
from contracts.record import Refusal, ReplyAddress
from contracts.replies import ReplyEnded
from contracts.requests import Caller, RequestAccepted, Surface
from libs.config.catalog import Catalog
from libs.config.gateway import McpSettings, Timeouts
from libs.mcp import client, headers, messages, server
from libs.mcp.envelope import Envelope
from libs.mcp.messages import CAPABILITIES_META, MODERN, VERSION_META, Message, RpcError
from libs.mcp.oauth import LASTS_S, ClientCredentials, TokenError, ask, token_in
from libs.mcp.registration import Registration, RegistrationError
from libs.outbound.addresses import AddressError, Reachable
from libs.policy.tools import refused_by
from services.ingress.core.mcp import McpAnswering, accept
from services.policy.core.rules import decide
from services.relay.core.servers import UNAVAILABLE, list_of, listed, refusal_of
from services.router.core.join import Allowed
from services.router.core.servers import plan_servers
from tests.unit.records import NOW_MS, Config, accepted, decisions, request_id

META = {VERSION_META: MODERN[0], CAPABILITIES_META: {}}
WORDS = st.text("abc_-.", min_size=1, max_size=12)
JSONS = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=3))


# Messages.


@given(st.binary(max_size=60) | JSONS.map(lambda value: json.dumps(value).encode()))
def test_no_body_is_more_than_refused(raw: bytes) -> None:
    try:
        found = messages.parse(raw)
    except RpcError as error:
        assert json.loads(error.encode())["error"]["code"] < 0
    else:
        assert found.method


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", messages.PARSE_ERROR),
        ('[{"jsonrpc":"2.0","id":1,"method":"ping"}]', messages.INVALID_REQUEST),
        ('{"id":1,"method":"ping"}', messages.INVALID_REQUEST),
        ('{"jsonrpc":"2.0","id":1.5,"method":"ping"}', messages.INVALID_REQUEST),
        ('{"jsonrpc":"2.0","id":true,"method":"ping"}', messages.INVALID_REQUEST),
        ('{"jsonrpc":"2.0","id":1,"method":7}', messages.INVALID_REQUEST),
        ('{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', messages.INVALID_PARAMS),
    ],
)
def test_bad_messages_are_named(body: str, code: int) -> None:
    with pytest.raises(RpcError) as refused:
        messages.parse(body.encode())
    assert refused.value.code == code


@given(st.text(max_size=20))
def test_a_header_carries_any_text(text: str) -> None:
    found = headers.encoded(text)
    assert found.isascii() and headers.decoded(found) == text


def test_a_damaged_header_is_none() -> None:
    assert headers.decoded("=?base64?_?=") is None


# The revision of a client.


def _message(method: str, params: dict[str, Any] | None = None) -> Message:
    return Message(method, 1, params or {})


def _call(name: object = "one__add", **more: Any) -> Message:
    return _message("tools/call", {"name": name, "_meta": META, **more})


def test_a_client_is_taken_at_its_word_and_its_headers() -> None:
    modern = {headers.VERSION: MODERN[0]}
    assert server.revision_of(_message("tools/list", {"_meta": META}), modern) == MODERN[0]
    assert server.revision_of(_message("tools/list"), {headers.VERSION: "2025-06-18"}) == "2025-06-18"
    assert server.revision_of(_message("tools/list"), {}) == "2025-03-26"
    for message, given_headers, code in (
        (_message("tools/list", {"_meta": META}), {}, messages.HEADER_MISMATCH),
        (_message("tools/list"), modern, messages.HEADER_MISMATCH),
        (_message("tools/list"), {headers.VERSION: "1900-01-01"}, messages.UNSUPPORTED_VERSION),
    ):
        with pytest.raises(RpcError) as refused:
            server.revision_of(message, given_headers)
        assert (refused.value.code, refused.value.status) == (code, 400)


@pytest.mark.parametrize(
    ("given_headers", "allowed"),
    [
        ({"mcp-method": "tools/call", "mcp-name": "one__add"}, True),
        ({"mcp-method": "tools/call", "mcp-name": headers.encoded("=?base64?x?=")}, False),
        ({"mcp-method": "tools/list", "mcp-name": "one__add"}, False),
        ({"mcp-method": "tools/call"}, False),
    ],
)
def test_what_others_may_have_routed_by_is_what_is_done(given_headers: dict[str, str], allowed: bool) -> None:
    if allowed:
        server.check_modern(_call(), given_headers)
    else:
        with pytest.raises(RpcError) as refused:
            server.check_modern(_call(), given_headers)
        assert refused.value.code == messages.HEADER_MISMATCH


def test_the_handshake_agrees_on_a_revision() -> None:
    for wanted, given_ in (("2025-06-18", "2025-06-18"), ("2024-11-05", "2025-11-25"), (7, "2025-11-25")):
        found = server.answered(_message("initialize", {"protocolVersion": wanted}), modern=False, version="1")
        assert found["protocolVersion"] == given_
    assert server.answered(_message("ping"), modern=False, version="1") == {}
    assert server.answered(_message("server/discover"), modern=True, version="1")["supportedVersions"][0] == MODERN[0]
    for modern, status in ((True, 404), (False, 200)):
        with pytest.raises(RpcError) as refused:
            server.answered(_message("resources/list"), modern=modern, version="1")
        assert (refused.value.code, refused.value.status) == (messages.METHOD_NOT_FOUND, status)


# Names and rules.


@given(st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,31}", fullmatch=True), WORDS)
def test_a_tool_s_name_says_its_server(name: str, tool: str) -> None:
    assert split_name(full_name(name, tool)) == (name, tool)
    assert server_of(provider_of(name)) == name


def _policy(**rules: dict[str, list[str]]) -> PolicySet:
    """Rules by role; ``all`` stands for ``*``."""
    named = {who.replace("all", "*"): rule for who, rule in rules.items()}
    return PolicySet.model_validate({"organization_id": "o", "version": 3, "mcp": named})


@pytest.mark.parametrize(
    ("policy", "role", "tool", "rule"),
    [
        (None, "member", "drop", None),
        (_policy(all={"deny": ["*__drop"]}), "owner", "drop", "mcp.*"),
        (_policy(all={"deny": ["*__drop"]}), "owner", "read", None),
        (_policy(member={"allow": ["db__read*"]}), "member", "drop", "mcp.member"),
        (_policy(member={"allow": ["db__read*"]}), "owner", "drop", None),
        (_policy(member={"allow": ["db__read*"]}), "member", "READ_all", None),
        (_policy(all={"allow": ["db__*"]}, member={"deny": ["db__drop"]}), "member", "drop", "mcp.member"),
        (_policy(all={"allow": []}), None, "read", "mcp.*"),
    ],
)
def test_both_rules_must_permit_a_tool(policy: PolicySet | None, role: str | None, tool: str, rule: str | None) -> None:
    assert refused_by(policy, role, "db", tool) == rule


@given(st.lists(WORDS, max_size=4), st.lists(WORDS, max_size=4), WORDS)
def test_what_is_denied_stays_so_whatever_is_allowed(allow: list[str], deny: list[str], name: str) -> None:
    assert not ToolRules(allow=[*allow, name], deny=[*deny, name]).permit(name)


# Where servers may be.


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/mcp",
        "https://127.0.0.1/mcp",
        "https://[::ffff:10.0.0.1]/mcp",
        "https://user:secret@example.com/mcp",
        "https://example.com/mcp#there",
        "https://exam ple.com/",
        "https://169.254.169.254/latest/meta-data",
        "https://[64:ff9b::a00:1]/",
        "ftp://example.com/",
        "https://example.com:99999/",
        "https:///mcp",
        "https://example.com\\@10.0.0.1/",
    ],
)
def test_addresses_that_no_user_may_name(url: str) -> None:
    with pytest.raises(AddressError):
        Reachable().checked(url)


def test_the_operator_opens_networks_and_no_others() -> None:
    open_ = Reachable(["10.1.0.0/16"])
    assert open_.checked("http://10.1.2.3:8000/mcp").port == 8000
    assert open_.allows("::ffff:10.1.2.3") and not open_.allows("10.2.0.1") and not open_.allows("127.0.0.1")
    with pytest.raises(ValueError, match="network"):
        McpSettings(networks=["10.1"])
    with pytest.raises(AddressError):
        open_.checked("http://inside.example.com/mcp")


@pytest.mark.parametrize(
    "bad",
    [{"Host": "x"}, {"mcp-session-id": "x"}, {"Content-Length": "0"}, {"A": "x\r\nB: y"}, {"A b": "x"}, {"A": ""}],
)
def test_headers_that_no_server_is_sent(bad: dict[str, str]) -> None:
    with pytest.raises(RegistrationError) as refused:
        Registration("https://example.com/mcp", bad).check(Reachable())
    assert "B: y" not in str(refused.value)


def test_a_registration_is_sealed_whole_and_shows_no_secret() -> None:
    one = Registration("https://example.com/mcp?key=secret", {"Authorization": "Bearer secret"})
    one.check(Reachable())
    assert Registration.decode(one.encode()) == one
    assert "secret" not in f"{one!r}{one.shown}{one.encode()}"


# On its way.


def _accept(message: Message, *, known: tuple[str, ...] = ("acct:a/mcp/one",), **given_headers: str) -> RequestAccepted:
    wanted = server.served(message, modern=True)
    assert wanted is not None
    return accept(
        wanted,
        Caller(account_id="a"),
        given_headers,
        request_id=request_id(1),
        voucher=None,
        known=known,
        catalog_version=1,
        prompt_bytes=1,
        reply_to=ReplyAddress(partition=0, ingress_id="i"),
        timeouts=Timeouts(),
        settings=McpSettings(call_s=7),
        now_ms=NOW_MS,
    )


def test_a_call_names_server_and_tool_and_a_list_neither() -> None:
    called = _accept(_call(), accept="application/json, text/event-stream")
    assert (called.surface, called.model, called.tool, called.stream) == (Surface.MCP, "mcp/one", "add", True)
    assert called.deadline_ms == NOW_MS + 7_000
    all_ = _accept(_message("tools/list"), accept="application/json")
    assert (all_.model, all_.tool, all_.stream) == (MODEL, None, False)


@pytest.mark.parametrize("name", ["two__add", "add", "one__", "one__a b", "one__" + "x" * 200, "", "x/../one__add"])
def test_a_tool_that_nobody_has_never_reaches_the_log(name: str) -> None:
    with pytest.raises(RpcError) as refused:
        _accept(_call(name))
    assert (refused.value.code, refused.value.id) == (messages.INVALID_PARAMS, 1)


def test_another_owner_s_server_is_unknown() -> None:
    with pytest.raises(RpcError):
        _accept(_call(), known=("org:o/mcp/one", "acct:b/mcp/one"))


@pytest.mark.parametrize("params", [{}, {"name": 7}, {"name": "one__add", "arguments": []}])
def test_parameters_that_are_none(params: dict[str, Any]) -> None:
    with pytest.raises(RpcError) as refused:
        server.served(_message("tools/call", params), modern=True)
    assert refused.value.code == messages.INVALID_PARAMS


def test_the_envelope_has_what_the_server_needs_and_not_the_name() -> None:
    meta = {**META, CAPABILITIES_META: {"elicitation": {}}, "progressToken": 5}
    wanted = server.served(_call(arguments={"a": 1}, requestState="s", _meta=meta), modern=True)
    assert wanted is not None
    envelope = Envelope.of(wanted, {"mcp-param-region": "west", "authorization": "Bearer secret"})
    assert Envelope.decode(envelope.encode()) == envelope
    assert b"secret" not in envelope.encode()
    post = client.call(client.STATELESS, "add", envelope)
    sent = json.loads(post.content)["params"]
    assert (sent["name"], sent["arguments"], sent["requestState"]) == ("add", {"a": 1}, "s")
    assert sent["_meta"][CAPABILITIES_META] == {"elicitation": {}} and sent["_meta"]["progressToken"] == 5
    assert (post.headers["mcp-name"], post.headers["mcp-param-region"]) == ("add", "west")
    # A server with a handshake is sent nothing that it cannot know.
    old = client.call(client.Session("2025-11-25", "s1"), "add", envelope)
    assert json.loads(old.content)["params"] == {"name": "add", "arguments": {"a": 1}, "_meta": {"progressToken": 5}}
    assert old.headers["mcp-session-id"] == "s1" and "mcp-param-region" not in old.headers


def test_policy_decides_by_role_and_names_its_rule() -> None:
    rules = {"o": _policy(member={"deny": ["one__add"]})}
    caller = Caller(account_id="a", organization_id="o", role="member")
    request = accepted(surface=Surface.MCP, model="mcp/one", tool="add", caller=caller)
    refusal = decide(request, Catalog(Config()), rules).refusal
    assert refusal and (refusal.status, refusal.metadata["rule"]) == (403, "mcp.member")
    owner = request.model_copy(update={"caller": caller.model_copy(update={"role": "owner"})})
    assert decide(owner, Catalog(Config()), rules).refusal is None


def _allowed(request: RequestAccepted, *servers: str) -> Allowed[None]:
    policy, quota, credential = decisions()
    grant = credential.grants[0]
    grants = [grant.model_copy(update={"provider_id": provider_of(one), "byok": True}) for one in servers]
    granted = CredentialGranted(request_id=request.request_id, subject=request.subject, grants=grants)
    return Allowed(request, policy, quota, granted, None, "")


def test_a_call_goes_to_the_one_server_that_it_names() -> None:
    request = accepted(surface=Surface.MCP, model="mcp/one", tool="add")
    route = plan_servers(_allowed(request, "two", "one"), NOW_MS)
    assert route and [(one.provider_id, one.upstream_model) for one in route.targets] == [("mcp/one", "add")]
    assert plan_servers(_allowed(request, "two"), NOW_MS) is None
    # Whoever wrote this record let policy see no tool.
    assert plan_servers(_allowed(request.model_copy(update={"tool": None}), "one"), NOW_MS) is None
    all_ = accepted(surface=Surface.MCP, model=MODEL)
    route = plan_servers(_allowed(all_, "two", "one"), NOW_MS)
    assert route and len(route.targets) == 2


# What servers say.


def test_an_answer_is_found_among_what_else_comes() -> None:
    reading = client.Reading()
    reading.take({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}})
    reading.take({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}})
    reading.take({"jsonrpc": "2.0", "id": 2, "result": {}})
    reading.take({"jsonrpc": "2.0", "id": True, "result": {}})
    assert reading.answer is None and len(reading.notifications) == 1
    reading.take({"jsonrpc": "2.0", "id": 1, "result": {"content": []}})
    assert reading.answer == client.Answer({"content": []})
    broken: tuple[Any, ...] = ([], {"id": 1}, {"id": 1, "result": 7}, {"id": 1, "error": {"code": "x"}})
    for bad in broken:
        with pytest.raises(client.AnswerError):
            client.Reading().take(bad)


@given(JSONS | st.dictionaries(st.sampled_from(["id", "result", "error", "method", "params"]), JSONS))
def test_whatever_a_server_sends_is_an_answer_or_none(message: object) -> None:
    reading = client.Reading()
    try:
        reading.take(message)
    except client.AnswerError:
        assert reading.answer is None


def test_tools_are_listed_by_server_without_what_one_may_not_call() -> None:
    tools: list[Any] = [{"name": "add", "x-own": 1}, {"name": "drop"}, {"name": "bad name"}, {"name": 7}, None]
    found = listed([{"tools": tools}, {"tools": None}], "one", _policy(all={"deny": ["one__drop"]}), "member")
    assert found == [{"name": "one__add", "x-own": 1}]
    result = list_of(found, {"two": "away"})
    assert result["_meta"] == {UNAVAILABLE: {"two": "away"}} and result["ttlMs"] == 0
    assert list_of(found, {})["ttlMs"] > 0


@pytest.mark.parametrize(
    "answer", [None, client.Answer({}), client.Answer({"protocolVersion": "1"}), client.Answer(error={})]
)
def test_a_handshake_that_is_none(answer: client.Answer | None) -> None:
    with pytest.raises(client.AnswerError):
        client.begun(answer, None)
    with pytest.raises(client.AnswerError):
        client.begun(client.Answer({"protocolVersion": "2025-06-18"}), "a\r\nb")


@pytest.mark.parametrize(
    ("status", "word"), [(401, "registered"), (307, "redirected"), (429, "limiting"), (500, "500")]
)
def test_failures_of_servers_are_named(status: int, word: str) -> None:
    assert word in refusal_of("one", status).message


def test_a_refusal_is_an_error_with_the_client_s_id() -> None:
    refusal = Refusal(status=429, message="Too many.", retry_after_s=3, metadata={"rule": "r"})
    ended = ReplyEnded.model_validate(
        {
            "request_id": request_id(1),
            "reply_to": {"partition": 0, "ingress_id": "i"},
            "reader": "",
            "outcome": "rejected",
            "status": 429,
            "refusal": refusal,
        }
    )
    start, body = McpAnswering("a7", []).ended(ended, [])
    assert start["status"] == 200 and (b"retry-after", b"3") in start["headers"]
    assert json.loads(body["body"]) == {
        "jsonrpc": "2.0",
        "id": "a7",
        "error": {"code": 429, "message": "Too many.", "data": {"rule": "r", "retry_after_s": 3}},
    }


# Tokens.


def test_client_credentials_are_sealed_with_the_address_and_asked_with_as_registered() -> None:
    oauth = ClientCredentials("https://login.example.com/token", "a:b", "s e+cret", "tools")
    one = Registration("https://example.com/mcp?key=hidden", {}, oauth)
    one.check(Reachable())
    assert Registration.decode(one.encode()) == one
    assert "e+c" not in f"{one!r}{one.shown}{one.encode()}{oauth!r}"
    asked = ask(oauth, one.url)
    form = parse_qs(asked.content.decode())
    assert form == {
        "grant_type": ["client_credentials"],
        "resource": ["https://example.com/mcp"],
        "scope": ["tools"],
    }
    assert b64decode(asked.headers["Authorization"].removeprefix("Basic ")) == b"a%3Ab:s+e%2Bcret"
    posted = parse_qs(ask(replace(oauth, auth_method="client_secret_post"), one.url).content.decode())
    assert (posted["client_id"], posted["client_secret"]) == (["a:b"], ["s e+cret"])


def test_a_server_is_sent_a_header_or_tokens() -> None:
    oauth = ClientCredentials("https://login.example.com/token", "a", "b")
    with pytest.raises(RegistrationError, match="either"):
        Registration("https://example.com/mcp", {"authorization": "x"}, oauth).check(Reachable())
    Registration("https://example.com/mcp", {"X-Team": "x"}, oauth).check(Reachable())


@given(st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b'{"access_token": 1, "token_type": "bearer"}']))
def test_what_holds_no_token_is_none(body: bytes) -> None:
    with pytest.raises(TokenError):
        token_in(body)


@pytest.mark.parametrize(
    ("more", "lasts_s"),
    [({}, LASTS_S), ({"expires_in": 60}, 60), ({"expires_in": "60"}, 60), ({"scope": "x"}, LASTS_S)],
)
def test_a_token_is_good_for_as_long_as_it_says(more: dict[str, Any], lasts_s: float) -> None:
    assert token_in(json.dumps({"access_token": "t", "token_type": "Bearer", **more}).encode()) == ("t", lasts_s)
    for wrong in ({"token_type": "mac"}, {"access_token": "a b"}, {"access_token": ""}, {"access_token": "ä"}):
        with pytest.raises(TokenError):
            token_in(json.dumps({"access_token": "t", "token_type": "Bearer", **more, **wrong}).encode())
