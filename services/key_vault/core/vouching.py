"""Whether the console vouches for who asks: for a request that only the ingress speaks for nothing is sealed. Pure."""

import base64
from collections import OrderedDict
from collections.abc import Container, Mapping
from dataclasses import dataclass
from enum import Enum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts.control import AccountChanged, KeyRevoked, MembershipChanged, SigningKeyPublished
from contracts.record import Refusal
from contracts.requests import RequestAccepted, Voucher
from libs.identity.tokens import ACCOUNT_DISABLED, KEY_REVOKED, fingerprint
from libs.identity.vouchers import is_of

MOST_VERIFIED = 50_000
UNDER_WAY_S = 60
"""A token may end while its request is on its way."""


class Vouched(Enum):
    """What is known of a request's voucher."""

    YES = "yes"
    NO = "no"
    """Whatever comes: it is wrong."""
    NOT_YET = "not yet"
    """A view here may be behind the ingress's by a moment."""
    REVOKED = "revoked"
    """A view here may also be ahead of the ingress's."""
    DISABLED = "disabled"


NOT_VOUCHED = Refusal(status=403, message="The gateway could not make sure whose request this is; try again.")
REFUSALS = {
    Vouched.NO: NOT_VOUCHED,
    Vouched.NOT_YET: NOT_VOUCHED,
    Vouched.REVOKED: Refusal(status=401, message=KEY_REVOKED),
    Vouched.DISABLED: Refusal(status=401, message=ACCOUNT_DISABLED),
}


@dataclass(frozen=True, slots=True)
class ControlViews:
    """The console's states, as far as this process has them."""

    signing_keys: Mapping[str, SigningKeyPublished]
    accounts: Mapping[str, AccountChanged]
    revocations: Mapping[str, KeyRevoked]
    disputed: Container[str]
    """Keys whose newest revocation record cannot be believed."""
    memberships: Mapping[str, MembershipChanged]


class Vouching:
    """Checks vouchers against control views; one signature check a token."""

    def __init__(self, views: ControlViews) -> None:
        self._views = views
        self._verified: OrderedDict[tuple[Voucher, str], str] = OrderedDict()
        """The public key that verified each."""

    def check(self, request: RequestAccepted, now_ms: int) -> Vouched:
        """Everything that the ingress is to have made sure of. Free models are anybody's."""
        caller, voucher = request.caller, request.voucher
        if request.free:
            return Vouched.YES
        if caller.account_id is None or voucher is None or now_ms >= (voucher.expires_at_s + UNDER_WAY_S) * 1000:
            return Vouched.NO
        if caller.key_fingerprint != fingerprint(voucher.jti):
            return Vouched.NO
        if voucher.organization_id is not None and voucher.organization_id != caller.organization_id:
            return Vouched.NO
        if voucher.jti in self._views.revocations or voucher.jti in self._views.disputed:
            return Vouched.REVOKED
        signing, account = self._views.signing_keys.get(voucher.kid), self._views.accounts.get(caller.account_id)
        if signing is None or account is None:
            return Vouched.NOT_YET
        if signing.not_after_ms is not None and now_ms >= signing.not_after_ms + UNDER_WAY_S * 1000:
            return Vouched.NO
        if not self._signed(voucher, caller.account_id, signing.public_key):
            return Vouched.NO
        if account.disabled:
            return Vouched.DISABLED
        if voucher.token_epoch < account.token_epoch:
            return Vouched.REVOKED
        organization = caller.organization_id
        if organization is not None:
            membership = self._views.memberships.get(f"{organization}/{caller.account_id}")
            # What a role may do is decided by the role that the request says.
            if membership is None or membership.role != caller.role:
                return Vouched.NOT_YET
        return Vouched.YES

    def _signed(self, voucher: Voucher, account_id: str, public_key: str) -> bool:
        known = voucher, account_id
        if self._verified.get(known) == public_key:
            self._verified.move_to_end(known)
            return True
        if not is_of(Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key)), voucher, account_id):
            return False
        self._verified[known] = public_key
        if len(self._verified) > MOST_VERIFIED:
            self._verified.popitem(last=False)
        return True
