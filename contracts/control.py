"""``control.*.v1``: compacted views of the states of the console, the relays and the vault.

The key of each record is the ID in its first field; a record without a value deletes.
"""

import base64
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, field_validator

from .contents import ContentsKept
from .guardrails import Guardrails
from .mcp import RuleFor, ToolRules
from .patterns import Patterns
from .record import EpochMs, StateRecord, empty


class SigningKeyPublished(StateRecord):
    """``control.signing-keys.v1``: the public half of a key that signs tokens."""

    kid: str
    public_key: str
    """Base64 of the 32 raw bytes (Ed25519, RFC 8032)."""
    not_after_ms: EpochMs | None = None
    """From then on nothing that it signed is valid; None while it is not being retired."""

    @field_validator("public_key")
    @classmethod
    def _is_a_key(cls, text: str) -> str:
        # What is no point of the curve is refused by its user: here it is enough that it can be one.
        if len(base64.b64decode(text, validate=True)) != 32:
            raise ValueError("not 32 bytes")
        return text

    @property
    def state_key(self) -> str:
        return self.kid


class AccountChanged(StateRecord):
    """``control.accounts.v1``: an account as the ingress must know it."""

    account_id: str
    token_epoch: Annotated[int, Field(ge=0)] = 0
    """Tokens of an older epoch are revoked ("sign out everywhere")."""
    disabled: bool = False

    @property
    def state_key(self) -> str:
        return self.account_id


class KeyRevoked(StateRecord):
    """``control.revocations.v1``: one API key that must not work any more."""

    jti: str
    revoked_at_ms: EpochMs
    expires_at_ms: EpochMs
    """After this the token is dead by itself, and the entry may be forgotten."""

    @property
    def state_key(self) -> str:
        return self.jti


class MembershipChanged(StateRecord):
    """``control.memberships.v1``: who may act for which organization, and as what."""

    membership_id: str
    """``<organization>/<account>``."""
    organization_id: str
    account_id: str
    role: Literal["owner", "billing_manager", "member"]

    @property
    def state_key(self) -> str:
        return self.membership_id


class PolicySet(StateRecord):
    """``control.policies.v1``: an organization's rules. ``None`` allows all."""

    organization_id: str
    version: Annotated[int, Field(ge=1)]
    model_allow: list[str] | None = None
    """Exact model IDs or wildcards such as ``anthropic/*``; case does not matter."""
    provider_allow: list[str] | None = None
    data_collection: Literal["allow", "deny"] = "allow"
    """``deny``: no model whose provider keeps what it is sent."""
    member_daily_limit_microdollars: Annotated[int, Field(ge=0)] | None = None
    """What each member may spend from one midnight UTC to the next."""
    member_daily_limits: dict[str, Annotated[int, Field(ge=0)]] = empty(dict)
    """Microdollars by account ID, for members with a limit of their own."""
    guardrails: Guardrails | None = None
    contents: ContentsKept | None = None
    """Its prompts and answers go to sinks; None: they do not."""
    mcp: dict[RuleFor, ToolRules] = empty(dict)
    """Which tools of MCP servers who may call: by role, and ``*`` for all; both must permit a tool."""

    @property
    def state_key(self) -> str:
        return self.organization_id

    @cached_property
    def models(self) -> Patterns | None:
        """The allow list of models, compiled."""
        return None if self.model_allow is None else Patterns(self.model_allow)


class VaultAnnounced(StateRecord):
    """``control.vaults.v1``: the vault's public key, to which the console seals users' provider keys."""

    vault_id: str
    public_key: str
    """Base64: ML-KEM-768 (1184 bytes) then X25519 (32 bytes)."""
    kek_version: str = ""
    """The key-encryption key that wraps now."""
    credentials: int = 0
    """How many keys are stored."""
    to_rewrap: int = 0
    """How many of them an older key-encryption key wraps."""

    @property
    def state_key(self) -> str:
        return self.vault_id


class CredentialChanged(StateRecord):
    """``control.credentials.v1``: a user's own provider key is in the vault; never the key."""

    credential_id: str
    provider_id: str
    owner: str
    """``org:<id>`` or ``acct:<id>``."""
    tail: str
    """The last characters, to distinguish keys."""
    submitted_by: str
    created_at_ms: EpochMs
    updated_at_ms: EpochMs

    @property
    def state_key(self) -> str:
        return self.credential_id


class CredentialUsed(StateRecord):
    """``control.credential-uses.v1``: a user's own key was used or tested.

    A relay publishes it once a minute and when the result changes, the vault after each test.
    """

    credential_id: str
    used_at_ms: EpochMs
    error: str | None = None
    """The provider's refusal, in the words that the client got; None where it answered."""

    @property
    def state_key(self) -> str:
        return self.credential_id


class RelayAnnounced(StateRecord):
    """``control.relays.v1``: a relay's public key, to which the vault seals its epoch key."""

    relay_id: str
    public_key: str
    """Base64: ML-KEM-768 (1184 bytes) then X25519 (32 bytes)."""
    partitions: list[Annotated[int, Field(ge=0)]] = empty(list)
    """Of ``gateway.routes``, ascending: those that it runs now."""
    announced_at_ms: EpochMs
    expires_at_ms: EpochMs

    @property
    def state_key(self) -> str:
        return self.relay_id


class EpochKeySealed(StateRecord):
    """``control.grant-keys.v1``: the keys that a relay needs of a vault's epoch, sealed by HPKE for it."""

    sealed_id: str
    """``<epoch>/<relay>``."""
    epoch_id: str
    relay_id: str
    partitions: list[Annotated[int, Field(ge=0)]] = empty(list)
    """Of ``gateway.routes``, whose keys are in it."""
    sealed_key: str
    """Base64 of the HPKE ciphertext: the key of cached answers, then one for each of the partitions."""
    expires_at_ms: EpochMs

    @property
    def state_key(self) -> str:
        return self.sealed_id
