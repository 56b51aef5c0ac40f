"""Which limits a request must fit into: the operator's, its owner's, those of its key, its member's day, and credit.
Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from contracts.control import PolicySet
from contracts.limits import LimitsSet, Scope
from libs.config.gateway import Billing, Limits
from libs.limits.catalog import BALANCE, METERS, USD
from libs.policy.rules import daily_limit
from services.rate_limit.core.book import CREDIT, MEMBER_DAY, Bound

NO_CREDIT_NEEDED = 2**63


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator configured."""

    limits: Limits
    billing: Billing


@dataclass(frozen=True, slots=True)
class Counts:
    """By what a request is counted."""

    owner: str
    account_id: str | None
    key: str | None
    """Its fingerprint."""
    model: str
    tags: Sequence[str] = ()
    customer: str | None = None

    @property
    def organization(self) -> bool:
        """It is made for one."""
        return self.owner.startswith("org:")


@dataclass(frozen=True, slots=True)
class Views:
    """What users have set."""

    limits: Mapping[str, LimitsSet]
    """By owner."""
    policies: Mapping[str, PolicySet]
    """By organization ID."""


def bounds_of(counts: Counts, rules: Rules, views: Views, balance: int) -> list[Bound]:
    """All bounds, money last; of several limits of one counter the lowest."""
    own = views.limits.get(counts.owner)
    personal = views.limits.get(f"acct:{counts.account_id}") if counts.organization else None
    most: dict[tuple[str, str], int] = {}
    for scope, name in _scopes(counts, own):
        named = f"{scope.value} {name}" if name else _whole(counts)
        _lower(most, named, _operators(counts, scope, rules.limits))
        if own:
            _lower(most, named, {**own.meters(scope), **own.meters(scope, name)} if name else own.meters(scope))
        if personal and scope in _OF_KEYS:
            _lower(most, named, personal.meters(scope, name))
    if counts.organization:
        policy = views.policies.get(counts.owner.removeprefix("org:"))
        daily = daily_limit(policy, counts.account_id)
        if daily is not None:
            _lower(most, f"member {counts.account_id}", {MEMBER_DAY: daily})
    bounds = [Bound(scope, METERS[meter], amount) for (scope, meter), amount in most.items() if meter in METERS]
    bounds.sort(key=lambda bound: bound.meter.quantity is USD)
    bounds.append(Bound(CREDIT, BALANCE, balance if rules.billing.prepaid else NO_CREDIT_NEEDED))
    return bounds


_OF_KEYS = (Scope.KEY, Scope.KEY_MODEL)
_OF_CLIENTS = (Scope.TAG, Scope.CUSTOMER)
"""Named by requests, so that only owners limit them."""


def _whole(counts: Counts) -> str:
    return "organization" if counts.organization else "account"


def _scopes(counts: Counts, own: LimitsSet | None) -> Iterator[tuple[Scope, str]]:
    """Everything that a request is counted by; the whole owner has no name."""
    yield Scope.MODEL, counts.model
    if counts.key:
        yield Scope.KEY_MODEL, f"{counts.key}/{counts.model}"
        yield Scope.KEY, counts.key
    if counts.organization:
        yield Scope.MEMBER, counts.account_id or ""
        for team, members in own.teams.items() if own else ():
            if counts.account_id in members:
                yield Scope.TEAM, team
    for tag in counts.tags:
        yield Scope.TAG, tag
    if counts.customer:
        yield Scope.CUSTOMER, counts.customer
    yield Scope.ALL, ""


def _operators(counts: Counts, scope: Scope, limits: Limits) -> Mapping[str, int]:
    if scope in _OF_CLIENTS:
        return {}
    if scope is Scope.ALL:
        return limits.organization if counts.organization else limits.account
    return {
        Scope.MODEL: limits.model,
        Scope.KEY: limits.key,
        Scope.KEY_MODEL: limits.key_model,
        Scope.MEMBER: limits.member,
        Scope.TEAM: limits.team,
    }[scope]


def _lower(most: dict[tuple[str, str], int], scope: str, meters: Mapping[str, int]) -> None:
    for meter, amount in meters.items():
        most[scope, meter] = min(amount, most.get((scope, meter), amount))
