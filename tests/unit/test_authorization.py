"""Who may do what, role by role."""

import re

import pytest

from deploy.local.home import ROOT
from services.console.core.authorization import (
    Action,
    Actor,
    Role,
    check_account,
    check_operator,
    check_organization,
)
from services.console.errors import Forbidden, NotFound
from services.console.store.usage import SEE_ALL

OPERATOR = Actor(None, frozenset(), "here")
MANAGER = Actor("a", frozenset({"manage", "inference"}), "here")
CALLER = Actor("a", frozenset({"inference"}), "here")
MAY = {
    Role.OWNER: set(Action),
    Role.BILLING_MANAGER: set(Action) - {Action.CHANGE_MEMBERS, Action.SET_POLICY, Action.DELETE},
    Role.MEMBER: {Action.SEE, Action.TAKE_TOKEN, Action.LEAVE},
}


def _may(role: Role, action: Action) -> bool:
    try:
        check_organization(MANAGER, "o", role, action)
    except Forbidden:
        return False
    return True


def test_the_documented_rights_are_the_ones_that_hold() -> None:
    page = (ROOT / "docs/identity.md").read_text()
    table = re.search(r"^\| may \|.*?(?=\n\n)", page, re.MULTILINE | re.DOTALL)
    assert table
    header, _line, *rows = ([cell.strip() for cell in row.split("|")[1:-1]] for row in table[0].splitlines())
    roles = [Role(name.strip("`")) for name in header[1:-1]]
    documented = {row[0]: {role for role, cell in zip(roles, row[1:-1], strict=True) if cell == "yes"} for row in rows}
    held = {action.value: {role for role in Role if _may(role, action)} for action in Action}
    assert documented == held | {"see everybody's usage": SEE_ALL}


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
