"""The ingress's authentication: one signature check a token, and everything that may change asked each time."""

import asyncio
import base64
import time
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts import topics
from contracts.clock import now_ms
from contracts.control import AccountChanged, KeyRevoked, MembershipChanged, SigningKeyPublished
from contracts.decoding import NotARecord, decode
from contracts.requests import Caller
from libs.identity.tokens import mint, public_bytes, verify
from services.ingress.authentication import Authenticator
from services.ingress.core.errors import Forbidden, IngressError, Unauthorized

KEY = Ed25519PrivateKey.generate()


def _token(**changes: Any) -> str:
    claims: dict[str, Any] = {
        "kid": "k",
        "jti": "j",
        "account_id": "a",
        "token_epoch": 0,
        "issued_at_s": int(time.time()) - 1,
        "ttl_s": 60,
    }
    return mint(KEY, **(claims | changes))


class Views:
    """An authenticator and its views, told directly."""

    def __init__(self) -> None:
        self.authenticator = Authenticator()
        self.signing, self.accounts, self.revocations, self.memberships = self.authenticator.views
        self.sign()
        self.accounts.apply("a", AccountChanged(account_id="a"))

    def sign(self, not_after_ms: int | None = None) -> None:
        public = base64.b64encode(public_bytes(KEY)).decode()
        self.signing.apply("k", SigningKeyPublished(kid="k", public_key=public, not_after_ms=not_after_ms))

    def caller(self, token: str, organization: str | None = None) -> Caller:
        return asyncio.run(self.authenticator.caller(token, organization))

    def refused(self, token: str, kind: type[IngressError], organization: str | None = None) -> str:
        with pytest.raises(kind) as refused:
            self.caller(token, organization)
        assert token not in str(refused.value)
        return str(refused.value)


def test_a_token_s_signature_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    views, checks = Views(), 0

    def counted(*arguments: Any) -> Any:
        nonlocal checks
        checks += 1
        return verify(*arguments)

    monkeypatch.setattr("services.ingress.authentication.verify", counted)
    monkeypatch.setattr("services.ingress.authentication.MOST_CACHED", 2)
    token = _token()
    assert [views.caller(token).account_id for _ in range(5)] == ["a"] * 5
    assert checks == 1
    for number in range(3):
        views.caller(_token(jti=f"other-{number}"))
    views.caller(token)
    assert checks == 5, "the cache is bounded: the oldest token was forgotten and checked again"


def test_what_was_verified_is_refused_as_soon_as_a_view_says_so() -> None:
    views, token = Views(), _token()
    views.caller(token)
    views.revocations.apply("j", KeyRevoked(jti="j", revoked_at_ms=0, expires_at_ms=0))
    assert "revoked" in views.refused(token, Unauthorized)
    views.revocations.apply("j", None)
    views.caller(token)
    views.accounts.apply("a", AccountChanged(account_id="a", token_epoch=1))
    assert "revoked" in views.refused(token, Unauthorized)
    views.accounts.apply("a", AccountChanged(account_id="a", disabled=True))
    views.refused(token, Unauthorized)
    views.accounts.apply("a", AccountChanged(account_id="a"))
    views.sign(not_after_ms=now_ms())
    views.refused(token, Unauthorized)
    views.sign(not_after_ms=now_ms() + 60_000)
    views.caller(token)
    views.signing.apply("k", None)
    views.refused(token, Unauthorized)


@pytest.mark.parametrize("text", ["", "x", "AAAA", "A" * 44, "*" * 44, "\u00e9" * 44, "A" * 43 + "==="])
def test_a_record_without_a_key_is_no_record(text: str) -> None:
    with pytest.raises(NotARecord):
        decode(topics.SIGNING_KEYS, orjson.dumps({"kid": "k", "public_key": text}), [])


def test_a_good_key_outlives_a_record_that_holds_none() -> None:
    views, token = Views(), _token()
    views.caller(token)
    no_key = SigningKeyPublished.model_construct(kid="k", public_key="AAAA", not_after_ms=None)
    with pytest.raises(ValueError, match="32"):
        views.signing.apply("k", no_key)
    assert views.caller(token).account_id == "a"


def test_a_cached_token_ends_with_its_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    views, token = Views(), _token()
    views.caller(token)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 59)
    assert "expired" in views.refused(token, Unauthorized)


def test_organizations_by_header_and_by_token() -> None:
    views = Views()
    scoped = _token(organization_id="o", role="owner")
    for token, header in ((_token(), "o"), (scoped, None), (scoped, "o")):
        views.refused(token, Forbidden, header)
    member = MembershipChanged(membership_id="o/a", organization_id="o", account_id="a", role="member")
    views.memberships.apply("o/a", member)
    for token, header in ((_token(), "o"), (scoped, None), (scoped, "o")):
        caller = views.caller(token, header)
        assert (caller.organization_id, caller.role) == ("o", "member"), "the role is what the view says now"
    views.refused(scoped, Forbidden, "other")
    assert views.caller(_token()).organization_id is None


def test_a_key_without_the_scope_calls_no_model() -> None:
    assert "scope" in Views().refused(_token(scopes=("manage",)), Forbidden)
