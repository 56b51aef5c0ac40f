"""Three verdicts on one request, taken side by side and joined by the router.

Each has a topic of its own, so that each service can write its own verdict and no other:
``gateway.policy-decisions.v1``, ``gateway.quota-decisions.v1``, ``gateway.credential-grants.v1``. They lie in the
partition of their request.
"""

from typing import Annotated

from pydantic import Field

from .record import EpochMs, Refusal, RequestRecord, Subject, Value, empty


class PolicyDecided(RequestRecord):
    """May this caller use this model? ``provider_ids`` are those that the policy leaves."""

    subject: Subject
    refusal: Refusal | None = None
    provider_ids: list[str] = empty(list)
    stand_ins: dict[str, list[str]] = empty(dict)
    """Of the models that may stand in, those that the policy leaves, and the providers of each."""
    policy_version: int = 0


class QuotaWindow(Value):
    """One limit and its state after this request, as the ``RateLimit`` header fields have it."""

    name: str
    limit: Annotated[int, Field(ge=0)]
    window_s: Annotated[int, Field(gt=0)]
    remaining: Annotated[int, Field(ge=0)]
    reset_s: Annotated[int, Field(ge=0)]


class Held(Value):
    """What a request holds of its owner's quota until it has ended, or ``expires_at_ms`` has passed."""

    owner: str
    account_id: str | None = None
    key: str | None = None
    """The fingerprint of the key that it was made with."""
    model: str
    tags: list[str] = empty(list)
    customer: str | None = None
    microdollars: Annotated[int, Field(ge=0)] = 0
    """The most that it can cost."""
    tokens: Annotated[int, Field(ge=0)] = 0
    """The most that it can use."""
    at_ms: EpochMs
    expires_at_ms: EpochMs


class QuotaReserved(RequestRecord):
    """The subject's quota was asked; with a ``refusal`` nothing was reserved."""

    subject: Subject
    refusal: Refusal | None = None
    windows: list[QuotaWindow] = empty(list)
    held: Held | None = None
    byok: bool = False
    """No credit was reserved, because the owner has a key of their own: the gateway's must not be used."""
    waited_ms: Annotated[int, Field(ge=0)] = 0
    """How long it waited for what others of its owner held."""


class SealedGrant(Value):
    """A provider key, readable by relays alone: AES-256-GCM under an epoch key.

    The associated data binds request, provider and expiry, so that a grant opens for nothing else.
    """

    provider_id: str
    epoch_id: str
    nonce: str
    """Base64, 12 bytes."""
    ciphertext: str
    """Base64, the tag of 16 bytes included."""
    expires_at_ms: EpochMs
    byok: bool = False
    key: Annotated[int, Field(ge=0)] = 0
    """Which of the gateway's keys of this provider it is."""


class CredentialGranted(RequestRecord):
    """The keys that the relay may use for this request, each sealed for it."""

    subject: Subject
    refusal: Refusal | None = None
    grants: list[SealedGrant] = empty(list)
    hook: SealedGrant | None = None
    """Of the webhook of the caller's organization: its address and secret, likewise sealed."""


Decision = PolicyDecided | QuotaReserved | CredentialGranted
