"""What each service reads and writes: the one list that consumers, producers, ACLs and documents come from."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from . import topics
from .alerts import AlertChanged
from .charges import ChargePosted
from .contents import ContentRecorded
from .credit import BalanceChanged, CreditEvent, CreditOrdered, MemberSpent
from .decisions import Decision
from .outcomes import OutcomesCounted
from .prompts import PromptSubmitted
from .record import Record
from .requests import KeyUsed, RequestAccepted
from .routes import Route
from .topic import Topic
from .usage import UsageRecorded
from .vault import VaultCommand

R = TypeVar("R", bound=Record)
Topics = tuple[Topic[Any], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Group(Generic[R]):
    """A consumer group: its members share the partitions of these topics.

    Topics of one partition count are assigned alike: who has partition 3 of one has it of all.
    """

    name: str
    topics: Topics
    """Of records of type ``R``."""
    family: bool = False
    """It stands for all groups whose names begin with its own and a dot, each of some of these topics."""

    def child(self, name: str, topics: Topics) -> "Group[R]":
        """A group of the family.

        Raises:
            PermissionError: this is no family, or it does not read one of the topics.
        """
        if not self.family or not set(topics) <= set(self.topics):
            raise PermissionError(f"{self.name} has no group {name} of these topics")
        return Group(f"{self.name}.{name}", topics)


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """What one service may do on the log, and no more."""

    name: str
    groups: tuple[Group[Any], ...] = ()
    views: Topics = ()
    """Compacted topics that each process holds whole."""
    follows: Topics = ()
    """Topics that each process reads from now on, or whole, outside of groups."""
    recovers: Topics = ()
    """Topics from which state is rebuilt when partitions are assigned, or that are read once."""
    writes: Topics = ()
    watches: Topics = ()
    """Topics of which it sees how many records they have, and none of them."""
    watches_groups: tuple[Group[Any], ...] = ()
    """Groups of others of which it sees who is in them, and how far they are."""
    outside: bool = False
    """It is no process of the gateway: it keeps no dead letters, and its groups have names that begin with its own."""
    republishes: Topics = ()
    """Topics whose dead letters it reads, and whose records it may publish again as they are."""
    counts: Topics = ()
    """Topics of which it may know how many dead letters there are, and not what is in them."""

    @property
    def reads(self) -> frozenset[Topic[Any]]:
        """All topics that it reads, for whatever reason."""
        grouped = [topic for group in self.groups for topic in group.topics]
        return frozenset((*grouped, *self.views, *self.follows, *self.recovers, *self.republishes))

    @property
    def signs(self) -> bool:
        """It signs records of its own."""
        return any(topic.signed_by == self.name for topic in self.writes)

    @property
    def signers(self) -> list[str]:
        """The services whose signed records it reads."""
        return sorted({topic.signed_by for topic in self.reads if topic.signed_by})


POLICY_GROUP: Group[RequestAccepted] = Group("policy", (topics.REQUESTS,))
RATE_LIMIT_GROUP: Group[RequestAccepted | UsageRecorded | ChargePosted | BalanceChanged | MemberSpent] = Group(
    "rate-limit", (topics.REQUESTS, topics.USAGE, topics.CHARGES, topics.BALANCES, topics.SPENDING)
)
KEY_VAULT_GROUP: Group[RequestAccepted] = Group("key-vault", (topics.REQUESTS,))
VAULT_COMMANDS_GROUP: Group[VaultCommand] = Group("key-vault-commands", (topics.VAULT_COMMANDS,))
ROUTER_GROUP: Group[RequestAccepted | Decision] = Group(
    "router", (topics.REQUESTS, topics.POLICY_DECISIONS, topics.QUOTA_DECISIONS, topics.CREDENTIAL_GRANTS)
)
RELAY_GROUP: Group[Route | PromptSubmitted] = Group("relay", (topics.ROUTES, topics.PROMPTS))
METERING_GROUP: Group[UsageRecorded | CreditOrdered] = Group("metering", (topics.USAGE, topics.ORDERS))
CONSOLE_GROUP: Group[KeyUsed] = Group("console", (topics.KEY_USES,))

_CONTROL = (
    topics.SIGNING_KEYS,
    topics.ACCOUNTS,
    topics.REVOCATIONS,
    topics.MEMBERSHIPS,
    topics.POLICIES,
    topics.LIMITS,
    topics.CREDIT_SETTINGS,
    topics.CATALOG,
)
"""The console's states, which it writes and holds against its database."""

INGRESS = ServiceSpec(
    "ingress",
    views=(
        topics.SIGNING_KEYS,
        topics.ACCOUNTS,
        topics.REVOCATIONS,
        topics.MEMBERSHIPS,
        topics.POLICIES,
        topics.BALANCES,
        topics.CREDENTIALS,
        topics.CATALOG,
    ),
    follows=(
        topics.REPLIES,
        topics.KEPT_REPLIES,
        topics.CLAIMS,
        topics.RESPONSE_INDEX,
        topics.IDEMPOTENCY,
        topics.BATCH_INDEX,
    ),
    recovers=(topics.RESPONSES, topics.USAGE, topics.REQUESTS, topics.FILES, topics.BATCH_ORDERS),
    writes=(
        topics.REQUESTS,
        topics.PROMPTS,
        topics.CANCELLATIONS,
        topics.CLAIMS,
        topics.IDEMPOTENCY,
        topics.KEY_USES,
        topics.RESPONSE_INDEX,
        topics.ANSWERS,
        topics.FILES,
        topics.BATCH_ORDERS,
        topics.BATCH_INDEX,
    ),
)
POLICY = ServiceSpec(
    "policy", groups=(POLICY_GROUP,), views=(topics.POLICIES, topics.CATALOG), writes=(topics.POLICY_DECISIONS,)
)
RATE_LIMIT = ServiceSpec(
    "rate-limit",
    groups=(RATE_LIMIT_GROUP,),
    views=(topics.POLICIES, topics.LIMITS, topics.CREDENTIALS, topics.CATALOG),
    recovers=(topics.QUOTA_DECISIONS, topics.QUOTA_STATE, topics.METERS),
    writes=(topics.QUOTA_DECISIONS, topics.QUOTA_STATE, topics.METERS),
)
KEY_VAULT = ServiceSpec(
    "key-vault",
    groups=(KEY_VAULT_GROUP, VAULT_COMMANDS_GROUP),
    follows=(topics.OUTCOMES, topics.PROVIDER_KEY_USES),
    views=(
        topics.RELAYS,
        topics.GRANT_KEYS,
        topics.VAULTS,
        topics.CREDENTIALS,
        topics.CATALOG,
        topics.SIGNING_KEYS,
        topics.ACCOUNTS,
        topics.REVOCATIONS,
        topics.MEMBERSHIPS,
    ),
    writes=(topics.CREDENTIAL_GRANTS, topics.GRANT_KEYS, topics.VAULTS, topics.CREDENTIALS, topics.CREDENTIAL_USES),
)
ROUTER = ServiceSpec(
    "router",
    groups=(ROUTER_GROUP,),
    views=(topics.CATALOG,),
    follows=(topics.OUTCOMES,),
    writes=(topics.ROUTES, topics.REPLIES, topics.KEPT_REPLIES),
)
RELAY = ServiceSpec(
    "relay",
    groups=(RELAY_GROUP,),
    views=(topics.RELAYS, topics.GRANT_KEYS, topics.POLICIES, topics.CATALOG),
    follows=(topics.CANCELLATIONS, topics.ANSWERS),
    recovers=(topics.ATTEMPTS, topics.REPLIES, topics.KEPT_REPLIES),
    writes=(
        topics.ATTEMPTS,
        topics.REPLIES,
        topics.KEPT_REPLIES,
        topics.USAGE,
        topics.OUTCOMES,
        topics.PROVIDER_KEY_USES,
        topics.RELAYS,
        topics.CREDENTIAL_USES,
        topics.RESPONSES,
        topics.RESPONSE_INDEX,
        topics.ANSWERS,
        topics.CONTENTS,
    ),
)
METERING = ServiceSpec(
    "metering",
    groups=(METERING_GROUP,),
    views=(topics.CREDIT_SETTINGS, topics.CATALOG),
    writes=(topics.CHARGES, topics.CREDIT, topics.BALANCES, topics.SPENDING),
)
CONSOLE = ServiceSpec(
    "console",
    groups=(CONSOLE_GROUP,),
    follows=(topics.OUTCOMES, topics.BATCH_INDEX, topics.PROVIDER_KEY_USES),
    recovers=(topics.POLICY_DECISIONS, topics.QUOTA_DECISIONS),
    views=(
        topics.VAULTS,
        topics.CREDENTIALS,
        topics.CREDENTIAL_USES,
        topics.METERS,
        topics.SINK_STATES,
        topics.BACKFILLS,
        topics.ALERTS,
        *_CONTROL,
    ),
    writes=(*_CONTROL, topics.VAULT_COMMANDS, topics.ORDERS, topics.BACKFILLS),
    watches=(
        topics.REQUESTS,
        topics.POLICY_DECISIONS,
        topics.QUOTA_DECISIONS,
        topics.CREDENTIAL_GRANTS,
        topics.ROUTES,
        topics.USAGE,
    ),
    watches_groups=(POLICY_GROUP, RATE_LIMIT_GROUP, KEY_VAULT_GROUP, ROUTER_GROUP, RELAY_GROUP, METERING_GROUP),
)
SINK_GROUP: Group[UsageRecorded | ChargePosted | CreditEvent | AlertChanged | ContentRecorded] = Group(
    "sinks", (topics.USAGE, topics.CHARGES, topics.CREDIT, topics.ALERTS, topics.CONTENTS), family=True
)
"""Of each sink one, so that none waits for another."""
ALERTS_GROUP: Group[UsageRecorded | CreditEvent | BalanceChanged | OutcomesCounted] = Group(
    "alerts", (topics.USAGE, topics.CREDIT, topics.BALANCES, topics.OUTCOMES)
)
SINKS = ServiceSpec(
    "sinks",
    groups=(SINK_GROUP, ALERTS_GROUP),
    views=(topics.BACKFILLS,),
    recovers=(topics.ALERTS, topics.RESOLUTIONS),
    writes=(topics.ALERTS, topics.SINK_STATES),
    counts=topics.TOPICS,
)
AUDIT = ServiceSpec("audit", recovers=(topics.REQUESTS, topics.QUOTA_DECISIONS, topics.CREDIT, topics.CHARGES))

SERVICES: tuple[ServiceSpec, ...] = (
    INGRESS,
    POLICY,
    RATE_LIMIT,
    KEY_VAULT,
    ROUTER,
    RELAY,
    METERING,
    CONSOLE,
    SINKS,
    AUDIT,
)

BILLING_GROUP: Group[ChargePosted | CreditEvent | BalanceChanged] = Group(
    "billing", (topics.CHARGES, topics.CREDIT, topics.BALANCES)
)
BILLING = ServiceSpec("billing", groups=(BILLING_GROUP,), outside=True)
"""Whoever bills for the gateway; see docs/billing.md."""
OPERATOR = ServiceSpec(
    "operator",
    outside=True,
    recovers=(topics.RESOLUTIONS, topics.SINK_STATES, topics.BACKFILLS),
    writes=(topics.RESOLUTIONS, topics.BACKFILLS),
    republishes=tuple(topic for topic in topics.TOPICS if topic is not topics.RESOLUTIONS),
)
"""``./sluice dlq`` and ``./sluice sinks``. It runs in no container; its credentials are for those who may see who
asked for what."""

OUTSIDE: tuple[ServiceSpec, ...] = (BILLING, OPERATOR)
"""Who else has credentials of their own."""
