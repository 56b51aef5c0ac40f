"""All topics: name, records, key, and how the log keeps them. The one list that code, ACLs and docs come from."""

from dataclasses import dataclass
from enum import Enum

from contracts import (
    attempts,
    charges,
    claims,
    control,
    credit,
    decisions,
    outcomes,
    prompts,
    quota,
    replies,
    requests,
    routes,
    usage,
    vault,
)
from contracts.record import Record

DLQ_SUFFIX = ".dlq"


class Spread(Enum):
    """How many partitions a topic has."""

    KEYED = "keyed"
    """The deployment's partition count, the same for all keyed topics: joins rely on it."""
    REPLIES = "replies"
    """One for each ingress that may run."""
    SINGLE = "single"
    """One: a total order, or a small view that everybody reads whole."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic and its contract."""

    name: str
    records: tuple[type[Record], ...]
    key: str
    spread: Spread = Spread.KEYED
    compacted: bool = False
    retention_ms: int = 24 * 3600 * 1000
    max_record_bytes: int = 4 * 1024 * 1024

    @property
    def dead_letters(self) -> str:
        """The topic that takes what could not be handled."""
        return self.name + DLQ_SUFFIX


LARGE = 32 * 1024 * 1024

REQUESTS = Topic("gateway.requests.v1", (requests.RequestAccepted,), "subject")
DECISIONS = Topic(
    "gateway.decisions.v1",
    (decisions.PolicyDecided, decisions.QuotaReserved, decisions.CredentialGranted),
    "subject",
)
PROMPTS = Topic("gateway.prompts.v1", (prompts.PromptSubmitted,), "request_id", max_record_bytes=LARGE)
ROUTES = Topic("gateway.routes.v1", (routes.RoutePlanned, routes.RequestRejected), "request_id")
CANCELLATIONS = Topic("gateway.cancellations.v1", (requests.RequestCancelled,), "request_id")
ATTEMPTS = Topic(
    "gateway.attempts.v1",
    (attempts.AttemptStarted, attempts.AttemptEnded),
    "request_id",
    max_record_bytes=LARGE,
)
REPLIES = Topic(
    "gateway.replies.v1",
    (replies.ReplyStarted, replies.ReplyChunk, replies.ReplyEnded),
    "request_id",
    Spread.REPLIES,
    max_record_bytes=LARGE,
)
OUTCOMES = Topic(
    "gateway.outcomes.v1", (outcomes.OutcomesCounted,), "provider_id", Spread.SINGLE, retention_ms=3600 * 1000
)
KEY_USES = Topic("gateway.key-uses.v1", (requests.KeyUsed,), "key_fingerprint", Spread.SINGLE)
CLAIMS = Topic("gateway.claims.v1", (claims.PartitionClaimed,), "partition", Spread.SINGLE)
USAGE = Topic("gateway.usage.v1", (usage.UsageRecorded,), "subject", retention_ms=30 * 24 * 3600 * 1000)
CHARGES = Topic("billing.charges.v1", (charges.ChargePosted,), "subject", retention_ms=30 * 24 * 3600 * 1000)
ORDERS = Topic("billing.orders.v1", (credit.CreditOrdered,), "owner", retention_ms=30 * 24 * 3600 * 1000)
CREDIT = Topic(
    "billing.credit.v1",
    (credit.CreditPosted, credit.BalanceLow, credit.TopUpDue),
    "owner",
    retention_ms=30 * 24 * 3600 * 1000,
)
BALANCES = Topic("billing.balances.v1", (credit.BalanceChanged,), "owner", compacted=True)
SPENDING = Topic("billing.spending.v1", (credit.MemberSpent,), "owner/account", compacted=True)
QUOTA_STATE = Topic("quota.state.v1", (quota.QuotaStateSaved,), "subject", compacted=True)
VAULT_COMMANDS = Topic(
    "vault.commands.v1",
    (vault.CredentialSubmitted, vault.CredentialRemoved, vault.CredentialTestOrdered, vault.RewrapOrdered),
    "credential_id",
)


def _view(name: str, record: type[Record], key: str) -> Topic:
    return Topic(name, (record,), key, Spread.SINGLE, compacted=True)


SIGNING_KEYS = _view("control.signing-keys.v1", control.SigningKeyPublished, "kid")
ACCOUNTS = _view("control.accounts.v1", control.AccountChanged, "account_id")
REVOCATIONS = _view("control.revocations.v1", control.KeyRevoked, "jti")
MEMBERSHIPS = _view("control.memberships.v1", control.MembershipChanged, "membership_id")
POLICIES = _view("control.policies.v1", control.PolicySet, "organization_id")
VAULTS = _view("control.vaults.v1", control.VaultAnnounced, "vault_id")
CREDENTIALS = _view("control.credentials.v1", control.CredentialChanged, "credential_id")
CREDENTIAL_USES = _view("control.credential-uses.v1", control.CredentialUsed, "credential_id")
CREDIT_SETTINGS = _view("control.credit-settings.v1", credit.CreditSettingsSet, "owner")
RELAYS = _view("control.relays.v1", control.RelayAnnounced, "relay_id")
GRANT_KEYS = _view("control.grant-keys.v1", control.EpochKeySealed, "sealed_id")

TOPICS: tuple[Topic, ...] = (
    REQUESTS,
    DECISIONS,
    PROMPTS,
    ROUTES,
    CANCELLATIONS,
    ATTEMPTS,
    REPLIES,
    OUTCOMES,
    KEY_USES,
    CLAIMS,
    USAGE,
    CHARGES,
    ORDERS,
    CREDIT,
    BALANCES,
    SPENDING,
    QUOTA_STATE,
    VAULT_COMMANDS,
    SIGNING_KEYS,
    ACCOUNTS,
    REVOCATIONS,
    MEMBERSHIPS,
    POLICIES,
    VAULTS,
    CREDENTIALS,
    CREDENTIAL_USES,
    CREDIT_SETTINGS,
    RELAYS,
    GRANT_KEYS,
)

BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
