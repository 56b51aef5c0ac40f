"""What the other services learn of the control database's rows. Pure."""

import base64
from datetime import datetime
from typing import Any

from contracts.control import KeyRevoked, MembershipChanged, PolicySet, SigningKeyPublished
from contracts.limits import LimitsSet


def membership_id(organization_id: str, account_id: str) -> str:
    """The key of a membership's record."""
    return f"{organization_id}/{account_id}"


def membership(organization_id: str, account_id: str, role: str) -> MembershipChanged:
    """A membership as the other services learn it."""
    return MembershipChanged.model_validate(
        {
            "membership_id": membership_id(organization_id, account_id),
            "organization_id": organization_id,
            "account_id": account_id,
            "role": role,
        }
    )


def policy(organization_id: str, version: int, document: dict[str, Any]) -> PolicySet:
    """A policy as the other services learn it."""
    return PolicySet.model_validate({"organization_id": organization_id, "version": version, **document})


def limits(owner: str, version: int, document: dict[str, Any]) -> LimitsSet:
    """An owner's limits and teams as the other services learn them."""
    return LimitsSet.model_validate({"owner": owner, "version": version, **document})


def organization_of(owner: str) -> str | None:
    """The organization of an owner such as ``org:<id>``; None for an account's own."""
    return owner.removeprefix("org:") if owner.startswith("org:") else None


def revocation(jti: str, revoked_at: datetime, expires_at: datetime) -> KeyRevoked:
    """The record of a revoked key."""
    return KeyRevoked(jti=jti, revoked_at_ms=_ms(revoked_at), expires_at_ms=_ms(expires_at))


def published(kid: str, public_key: bytes, not_after: datetime | None) -> SigningKeyPublished:
    """The public half of a signing key as the other services learn it."""
    return SigningKeyPublished(
        kid=kid,
        public_key=base64.b64encode(public_key).decode(),
        not_after_ms=None if not_after is None else _ms(not_after),
    )


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
