"""Who is calling: tokens are verified once, then looked up; what may change is asked of the views each time."""

import asyncio
import base64
import hashlib
import time
from collections import OrderedDict
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts import topics
from contracts.clock import now_ms
from contracts.control import AccountChanged, MembershipChanged, SigningKeyPublished
from contracts.requests import Caller, Voucher
from libs.bus.views import View
from libs.identity.tokens import ACCOUNT_DISABLED, INFERENCE, KEY_REVOKED, Claims, TokenError, fingerprint, verify
from services.ingress.core.errors import Forbidden, Unauthorized

MOST_CACHED = 50_000
NEW_ACCOUNT_WITHIN_S = 1.0
_NOT_A_MEMBER = "This organization does not exist, or this account is not a member of it."


class Authenticates(Protocol):
    """Finds who calls; see `Authenticator`."""

    async def identify(self, token: str, organization_id: str | None) -> tuple[Caller, Voucher | None]:
        """Whose token it is, and what vouches for that."""


class Authenticator:
    """Verifies tokens against control views. No database, and one signature check a token."""

    def __init__(self) -> None:
        self._signing_keys = View(topics.SIGNING_KEYS, on_change=self._signing_key_changed)
        self._accounts = View(topics.ACCOUNTS)
        self._revocations = View(topics.REVOCATIONS)
        self._memberships = View(topics.MEMBERSHIPS, on_change=self._membership_changed)
        self._roles: dict[str, dict[str, str]] = {}
        """By account, then organization."""
        self.views = (self._signing_keys, self._accounts, self._revocations, self._memberships)
        self._public_keys: dict[str, Ed25519PublicKey] = {}
        self._verified: OrderedDict[bytes, tuple[Claims, str]] = OrderedDict()

    async def identify(self, token: str, organization_id: str | None) -> tuple[Caller, Voucher | None]:
        """The account and, where one is asked for, the organization that a token acts for.

        A token whose signature is right but whose account is not in the view is as new as the account: the view is
        given a moment to catch up.

        Args:
            token: what stood behind ``Bearer``.
            organization_id: the header ``X-KiloCode-OrganizationId``.

        Raises:
            Unauthorized: the token is not valid, was revoked, or its account is gone.
            Forbidden: the organization is another one's.
        """
        claims, print_ = self._claims(token)
        if INFERENCE not in claims.scopes:
            raise Forbidden("This API key has not the scope `inference`; create one that has.")
        account = self._accounts.get(claims.account_id) or await self._new_account(claims.account_id)
        if account is None or account.disabled:
            raise Unauthorized(ACCOUNT_DISABLED)
        if claims.token_epoch < account.token_epoch or self._revoked(claims.jti):
            raise Unauthorized(KEY_REVOKED)
        organization, role = claims.organization_id, claims.role
        if organization_id is not None and organization_id != organization:
            if organization is not None:
                raise Forbidden("This token is for another organization than the header names.")
            organization = organization_id
        if organization is not None:
            membership = self._memberships.get(f"{organization}/{claims.account_id}")
            if membership is None:
                raise Forbidden(_NOT_A_MEMBER)
            role = membership.role
        caller = Caller(account_id=claims.account_id, organization_id=organization, role=role, key_fingerprint=print_)
        return caller, claims.voucher

    def still_vouched(self, caller: Caller, voucher: Voucher) -> None:
        """What `identify` asks of the views, for a caller whose token is not here any more.

        Raises:
            Unauthorized: the token is not valid any more, was revoked, or its account is gone.
            Forbidden: the account is not a member any more.
        """
        account = self._accounts.get(caller.account_id or "")
        if account is None or account.disabled:
            raise Unauthorized(ACCOUNT_DISABLED)
        if voucher.token_epoch < account.token_epoch or self._revoked(voucher.jti):
            raise Unauthorized(KEY_REVOKED)
        if time.time() >= voucher.expires_at_s or self._public_key(voucher.kid) is None:
            raise Unauthorized("The API key that the batch was made with has expired.")
        organization = caller.organization_id
        if organization is not None and self._memberships.get(f"{organization}/{caller.account_id}") is None:
            raise Forbidden(_NOT_A_MEMBER)

    async def caller(self, token: str, organization_id: str | None) -> Caller:
        """The same without the voucher."""
        return (await self.identify(token, organization_id))[0]

    def roles(self, account_id: str) -> dict[str, str]:
        """The roles of an account by organization."""
        return self._roles.get(account_id, {})

    def _membership_changed(self, name: str, record: MembershipChanged | None) -> None:
        organization_id, _, account_id = name.partition("/")
        roles = self._roles.setdefault(account_id, {})
        if record is not None:
            roles[organization_id] = record.role
        elif roles.pop(organization_id, None) is None or not roles:
            self._roles.pop(account_id, None)

    def _revoked(self, jti: str) -> bool:
        # What the newest record says of a disputed key is not known: it may be a revocation.
        return self._revocations.get(jti) is not None or jti in self._revocations.disputed

    async def _new_account(self, account_id: str) -> AccountChanged | None:
        deadline = time.monotonic() + NEW_ACCOUNT_WITHIN_S
        while self._accounts.get(account_id) is None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return self._accounts.get(account_id)

    def _claims(self, token: str) -> tuple[Claims, str]:
        now_s = time.time()
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        found = self._verified.get(digest)
        if found is not None and now_s < found[0].expires_at_s and self._public_key(found[0].kid) is not None:
            self._verified.move_to_end(digest)
            return found
        try:
            claims = verify(token, self._public_key, now_s)
        except TokenError as error:
            raise Unauthorized(str(error)) from None
        found = claims, fingerprint(claims.jti)
        self._verified[digest] = found
        if len(self._verified) > MOST_CACHED:
            self._verified.popitem(last=False)
        return found

    def _public_key(self, kid: str) -> Ed25519PublicKey | None:
        record = self._signing_keys.get(kid)
        if record is None or (record.not_after_ms is not None and now_ms() >= record.not_after_ms):
            return None
        return self._public_keys.get(kid)

    def _signing_key_changed(self, kid: str, record: SigningKeyPublished | None) -> None:
        if record is None:
            self._public_keys.pop(kid, None)
        else:
            self._public_keys[kid] = Ed25519PublicKey.from_public_bytes(base64.b64decode(record.public_key))
