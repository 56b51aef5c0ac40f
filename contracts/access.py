"""Which service may read and write which topic: the one list that ACLs, documents and a test come from."""

from dataclasses import dataclass

from contracts import topics
from contracts.topics import Topic


@dataclass(frozen=True, slots=True)
class Access:
    """What one service needs, and no more."""

    reads: frozenset[Topic]
    writes: frozenset[Topic]
    groups: frozenset[str] = frozenset()
    """Consumer groups."""


def _access(reads: tuple[Topic, ...], writes: tuple[Topic, ...], *groups: str) -> Access:
    return Access(frozenset(reads), frozenset(writes), frozenset(groups))


SERVICES: dict[str, Access] = {
    "ingress": _access(
        (
            topics.REPLIES,
            topics.CLAIMS,
            topics.SIGNING_KEYS,
            topics.ACCOUNTS,
            topics.REVOCATIONS,
            topics.MEMBERSHIPS,
            topics.BALANCES,
        ),
        (topics.REQUESTS, topics.PROMPTS, topics.CANCELLATIONS, topics.CLAIMS, topics.KEY_USES),
    ),
    "policy": _access((topics.REQUESTS, topics.POLICIES), (topics.DECISIONS,), "policy"),
    "rate-limit": _access(
        (
            topics.REQUESTS,
            topics.USAGE,
            topics.CHARGES,
            topics.BALANCES,
            topics.SPENDING,
            topics.DECISIONS,
            topics.QUOTA_STATE,
            topics.POLICIES,
            topics.CREDENTIALS,
        ),
        (topics.DECISIONS, topics.QUOTA_STATE),
        "rate-limit",
    ),
    "key-vault": _access(
        (
            topics.REQUESTS,
            topics.VAULT_COMMANDS,
            topics.RELAYS,
            topics.GRANT_KEYS,
            topics.VAULTS,
            topics.CREDENTIALS,
        ),
        (topics.DECISIONS, topics.GRANT_KEYS, topics.VAULTS, topics.CREDENTIALS, topics.CREDENTIAL_USES),
        "key-vault",
        "key-vault-commands",
    ),
    "router": _access((topics.REQUESTS, topics.DECISIONS, topics.OUTCOMES), (topics.ROUTES, topics.REPLIES), "router"),
    "relay": _access(
        (
            topics.ROUTES,
            topics.PROMPTS,
            topics.CANCELLATIONS,
            topics.ATTEMPTS,
            topics.REPLIES,
            topics.RELAYS,
            topics.GRANT_KEYS,
        ),
        (
            topics.ATTEMPTS,
            topics.REPLIES,
            topics.USAGE,
            topics.OUTCOMES,
            topics.RELAYS,
            topics.CREDENTIAL_USES,
        ),
        "relay",
    ),
    "metering": _access(
        (topics.USAGE, topics.ORDERS, topics.CREDIT_SETTINGS),
        (topics.CHARGES, topics.CREDIT, topics.BALANCES, topics.SPENDING),
        "metering",
    ),
    "audit": _access((topics.REQUESTS, topics.DECISIONS, topics.CHARGES), ()),
    "console": _access(
        (topics.KEY_USES, topics.VAULTS, topics.CREDENTIALS, topics.CREDENTIAL_USES),
        (
            topics.SIGNING_KEYS,
            topics.ACCOUNTS,
            topics.REVOCATIONS,
            topics.MEMBERSHIPS,
            topics.POLICIES,
            topics.VAULT_COMMANDS,
            topics.CREDIT_SETTINGS,
            topics.ORDERS,
        ),
        "console",
    ),
}
