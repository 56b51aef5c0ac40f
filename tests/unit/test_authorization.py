"""Who may do what, role by role."""

import pytest

from services.console.core.authorization import (
    Action,
    Actor,
    Role,
    check_account,
    check_operator,
    check_organization,
)
from services.console.errors import Forbidden, NotFound

OPERATOR = Actor(None, frozenset(), "here")
MANAGER = Actor("a", frozenset({"manage", "inference"}), "here")
CALLER = Actor("a", frozenset({"inference"}), "here")
MAY = {
    Role.OWNER: set(Action),
    Role.BILLING_MANAGER: set(Action) - {Action.CHANGE_MEMBERS, Action.SET_POLICY, Action.DELETE},
    Role.MEMBER: {Action.SEE, Action.TAKE_TOKEN, Action.LEAVE},
}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", Action)
def test_roles(role: Role, action: Action) -> None:
    if action in MAY[role]:
        check_organization(MANAGER, "o", role, action)
    else:
        with pytest.raises(Forbidden, match=role.value):
            check_organization(MANAGER, "o", role, action)
    if action is Action.TAKE_TOKEN:
        check_organization(CALLER, "o", role, action)
    else:
        with pytest.raises(Forbidden):
            check_organization(CALLER, "o", role, action)
    with pytest.raises(NotFound):
        check_organization(MANAGER, "o", None, action)
    check_organization(OPERATOR, "o", None, action)


def test_accounts_manage_themselves_alone() -> None:
    check_account(MANAGER, "a")
    check_account(OPERATOR, "b")
    with pytest.raises(NotFound):
        check_account(MANAGER, "b")
    with pytest.raises(Forbidden):
        check_account(CALLER, "a")
    check_operator(OPERATOR)
    with pytest.raises(Forbidden):
        check_operator(MANAGER)
