"""Nothing is sealed for a request whose caller the console does not vouch for, whatever the ingress says."""

import asyncio
import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from contracts.control import AccountChanged, KeyRevoked, MembershipChanged, SigningKeyPublished
from contracts.requests import Caller, RequestAccepted, Voucher
from libs.identity.tokens import fingerprint, mint, public_bytes, verify
from libs.identity.vouchers import is_of, signed
from services.key_vault.core.vouching import REFUSALS, UNDER_WAY_S, ControlViews, Vouched, Vouching
from services.key_vault.handlers import Patience
from tests.unit.records import NOW_MS, accepted

KEY, STRANGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
NOW_S = NOW_MS // 1000
CALLER = Caller(account_id="a", key_fingerprint=fingerprint("j"))


def _voucher(key: Ed25519PrivateKey = KEY, account: str = "a", **changes: Any) -> Voucher:
    fields: dict[str, Any] = {"kid": "k", "jti": "j", "token_epoch": 0, "expires_at_s": NOW_S + 60}
    return signed(key, Voucher(**(fields | changes)), account)


def _asked(voucher: Voucher | None, **caller: Any) -> RequestAccepted:
    return accepted(voucher=voucher, caller=CALLER.model_copy(update=caller))


class World:
    """The console's states."""

    def __init__(self) -> None:
        public = base64.b64encode(public_bytes(KEY)).decode()
        self.signing = {"k": SigningKeyPublished(kid="k", public_key=public)}
        self.accounts = {"a": AccountChanged(account_id="a"), "b": AccountChanged(account_id="b")}
        self.revocations: dict[str, KeyRevoked] = {}
        self.disputed: set[str] = set()
        self.memberships = {
            "o/a": MembershipChanged(membership_id="o/a", organization_id="o", account_id="a", role="member")
        }
        views = ControlViews(self.signing, self.accounts, self.revocations, self.disputed, self.memberships)
        self.vouching = Vouching(views)

    def check(self, request: RequestAccepted, now_ms: int = NOW_MS) -> Vouched:
        return self.vouching.check(request, now_ms)


def test_what_a_token_says_is_vouched_for() -> None:
    world = World()
    token = mint(KEY, kid="k", jti="j", account_id="a", token_epoch=0, issued_at_s=NOW_S, ttl_s=60)
    voucher = verify(token, {"k": KEY.public_key()}.get, NOW_S).voucher
    assert world.check(_asked(voucher)) is Vouched.YES
    assert world.check(_asked(voucher, organization_id="o", role="member")) is Vouched.YES
    assert voucher is not None
    assert voucher.signature not in token, "the log has no part of the token that is a secret"


def test_nobody_has_another_role_than_the_console_says() -> None:
    for role in ("owner", None):
        assert World().check(_asked(_voucher(), organization_id="o", role=role)) is Vouched.NOT_YET


WRONG = {
    "no voucher": _asked(None),
    "a stranger's": _asked(_voucher(STRANGER)),
    "of another account": _asked(_voucher(account="b")),
    "for another account": _asked(_voucher(), account_id="b"),
    "for nobody": _asked(_voucher(), account_id=None),
    "another key's fingerprint": _asked(_voucher(), key_fingerprint=fingerprint("another")),
    "no fingerprint": _asked(_voucher(), key_fingerprint=None),
    "expired": _asked(_voucher(expires_at_s=NOW_S - UNDER_WAY_S)),
    "made to last": _asked(_voucher().model_copy(update={"expires_at_s": NOW_S + 10_000})),
    "of a later epoch": _asked(_voucher().model_copy(update={"token_epoch": 9})),
    "no signature": _asked(_voucher().model_copy(update={"signature": "no base64"})),
    "an organization's token without it": _asked(_voucher(organization_id="o")),
    "an organization's token for another": _asked(_voucher(organization_id="o"), organization_id="p"),
}


@pytest.mark.parametrize("request_", WRONG.values(), ids=WRONG)
def test_the_ingress_cannot_speak_for_others(request_: RequestAccepted) -> None:
    assert World().check(request_) is Vouched.NO


def test_what_has_changed_since_counts() -> None:
    world, request = World(), _asked(_voucher())
    assert world.check(request) is Vouched.YES
    world.accounts["a"] = AccountChanged(account_id="a", token_epoch=1)
    assert world.check(request) is Vouched.REVOKED
    world.accounts["a"] = AccountChanged(account_id="a", disabled=True)
    assert world.check(request) is Vouched.DISABLED
    world.accounts["a"] = AccountChanged(account_id="a")
    world.disputed.add("j")
    assert world.check(request) is Vouched.REVOKED
    world.disputed.clear()
    world.revocations["j"] = KeyRevoked(jti="j", revoked_at_ms=0, expires_at_ms=NOW_MS)
    assert world.check(request) is Vouched.REVOKED
    world.revocations.clear()
    world.signing["k"] = world.signing["k"].model_copy(update={"not_after_ms": NOW_MS - UNDER_WAY_S * 1000})
    assert world.check(request) is Vouched.NO
    world.signing["k"] = SigningKeyPublished(kid="k", public_key=base64.b64encode(public_bytes(STRANGER)).decode())
    assert world.check(request) is Vouched.NO, "what one key verified another did not"


def test_whoever_hears_of_a_revocation_first_says_the_same() -> None:
    assert REFUSALS[Vouched.REVOKED].status == REFUSALS[Vouched.DISABLED].status == 401
    assert set(Vouched) - set(REFUSALS) == {Vouched.YES}


def test_free_models_are_anybody_s() -> None:
    assert World().check(accepted(model="stub/echo:free", caller=Caller(), subject="ip:192.0.2.1")) is Vouched.YES


def test_a_view_that_is_behind_is_waited_for_and_not_for_long() -> None:
    world = World()
    patience = Patience(world.vouching, lambda: NOW_MS)

    async def run() -> None:
        joining = _asked(_voucher(), organization_id="p", role="member")
        asked = asyncio.create_task(patience.vouched(joining))
        await asyncio.sleep(0)
        world.memberships["p/a"] = world.memberships["o/a"]
        assert await asked is Vouched.YES
        for _ in range(50):
            assert await patience.vouched(_asked(_voucher(), organization_id="nowhere")) is Vouched.NOT_YET

    asyncio.run(asyncio.wait_for(run(), 20))


@given(
    st.builds(Voucher, kid=st.text(), jti=st.text(), token_epoch=st.integers(0), expires_at_s=st.integers(0)),
    st.builds(Voucher, kid=st.text(), jti=st.text(), token_epoch=st.integers(0), expires_at_s=st.integers(0)),
    st.text(),
    st.text(),
)
def test_a_voucher_is_good_for_what_was_signed_and_nothing_else(
    one: Voucher, other: Voucher, account: str, another: str
) -> None:
    good = signed(KEY, one, account)
    assert is_of(KEY.public_key(), good, account)
    assert not is_of(STRANGER.public_key(), good, account)
    moved = other.model_copy(update={"signature": good.signature})
    assert is_of(KEY.public_key(), moved, another) == ((one, account) == (other, another))
