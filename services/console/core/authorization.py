"""Who may do what. Pure: an actor, the role it has where that matters, and the action.

Two kinds of actors: the operator, who may do everything, and an account by a key with the scope ``manage``. What an
account may not even know of is answered like what does not exist.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from libs.identity.tokens import INFERENCE, MANAGE
from services.console.errors import Forbidden, NotFound

OPERATOR_NAME = "operator"


class Role(Enum):
    """Of a member in an organization."""

    OWNER = "owner"
    BILLING_MANAGER = "billing_manager"
    MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who calls."""

    account_id: str | None
    """None for the operator."""
    scopes: frozenset[str]
    origin: str
    """The address that the call came from, for the audit trail."""
    ends_at: datetime | None = None
    """When the key ends by which the actor is known; None: not known by a key."""

    @property
    def operator(self) -> bool:
        """May do everything."""
        return self.account_id is None

    @property
    def name(self) -> str:
        """As the audit trail has it."""
        return self.account_id or OPERATOR_NAME


class Action(Enum):
    """What can be done to an organization."""

    SEE = "see"
    TAKE_TOKEN = "take a token"  # noqa: S105
    CHANGE_MEMBERS = "change members"
    LEAVE = "leave"
    SET_POLICY = "set the policy"
    READ_AUDIT = "read the audit trail"
    MANAGE_KEYS = "manage provider keys"
    MANAGE_BILLING = "manage billing"
    DELETE = "delete"


_EVERYBODY = frozenset(Role)
_ALLOWED: dict[Action, frozenset[Role]] = {
    Action.SEE: _EVERYBODY,
    Action.TAKE_TOKEN: _EVERYBODY,
    Action.CHANGE_MEMBERS: frozenset({Role.OWNER}),
    Action.LEAVE: _EVERYBODY,
    Action.SET_POLICY: frozenset({Role.OWNER}),
    Action.READ_AUDIT: frozenset({Role.OWNER, Role.BILLING_MANAGER}),
    Action.MANAGE_KEYS: frozenset({Role.OWNER, Role.BILLING_MANAGER}),
    Action.MANAGE_BILLING: frozenset({Role.OWNER, Role.BILLING_MANAGER}),
    Action.DELETE: frozenset({Role.OWNER}),
}


def check_operator(actor: Actor) -> None:
    """Raises Forbidden for everybody but the operator."""
    if not actor.operator:
        raise Forbidden("only the operator of this Sluice may do this")


def check_account(actor: Actor, account_id: str) -> None:
    """An account manages itself, with a key that has the scope for it.

    Raises:
        NotFound: another account.
        Forbidden: the key has not the scope ``manage``.
    """
    if actor.operator:
        return
    if actor.account_id != account_id:
        raise NotFound(f"there is no account {account_id!r}, or it is not yours")
    check_scope(actor, MANAGE)


def check_scope(actor: Actor, scope: str) -> None:
    """Raises Forbidden where the key has not this scope."""
    if not actor.operator and scope not in actor.scopes:
        raise Forbidden(f"this key has not the scope `{scope}`; create one that has")


def check_organization(actor: Actor, organization_id: str, role: Role | None, action: Action) -> None:
    """May the actor, who has this role in the organization (None: no member), do this to it?

    Raises:
        NotFound: not a member; an organization that does not exist has no members, so it is the same answer.
        Forbidden: a member, but not of a role that may.
    """
    if actor.operator:
        return
    if role is None:
        raise NotFound(f"there is no organization {organization_id!r}, or you are not a member of it")
    check_scope(actor, INFERENCE if action is Action.TAKE_TOKEN else MANAGE)
    if role not in _ALLOWED[action]:
        allowed = " or ".join(sorted(one.value for one in _ALLOWED[action]))
        raise Forbidden(f"to {action.value} needs the role {allowed}; you are {role.value}")
