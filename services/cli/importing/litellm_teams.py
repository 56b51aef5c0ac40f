"""Rows of LiteLLM's database as accounts, organizations and keys. Pure.

Source: LiteLLM's ``schema.prisma``: ``LiteLLM_TeamTable``, ``LiteLLM_VerificationToken``, ``LiteLLM_UserTable``.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from services.cli.importing.budgets import limits_of
from services.cli.importing.plan import ImportedKey, ImportedOrganization, Plan

INVALID = "import.invalid"
"""The domain of addresses of who has none (RFC 2606)."""
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}\Z")
_ALL = frozenset({"all-proxy-models", "all-team-models", "*"})
_ROLES = {"admin": "owner", "user": "member"}
Row = Mapping[str, Any]


def planned(
    teams: Iterable[Row], keys: Iterable[Row], users: Iterable[Row], models: Mapping[str, str], now: datetime
) -> Plan:
    """What the rows become.

    Args:
        models: our IDs by the names that LiteLLM's clients use.
    """
    plan, organizations = Plan(), {}
    for user in users:
        email = _account(plan, str(user["user_id"]), user.get("user_email"))
        limits, unmapped = limits_of(user, f"user {email}")
        plan.limits |= {email: limits} if limits else {}
        plan.unmapped += unmapped
    for team in teams:
        organization = _organization(plan, team, models)
        plan.organizations.append(organization)
        organizations[str(team.get("team_id"))] = organization
    for key in keys:
        _key(plan, key, organizations, now)
    for organization in plan.organizations:
        if organization.owner is None:
            email = _account(plan, f"{organization.name}-owner", None)
            organization.members[email] = "owner"
            plan.unmapped.append(f"team {organization.name}: it has no admin; {email} owns the organization")
    return plan


def _account(plan: Plan, name: str, email: Any) -> str:
    if isinstance(email, str) and _EMAIL.match(email):
        plan.accounts[name] = email
    elif name not in plan.accounts:
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:60].strip("-.") or "account"
        plan.accounts[name] = name if _EMAIL.match(name) else f"{slug}@{INVALID}"
    return plan.accounts[name]


def _organization(plan: Plan, team: Row, models: Mapping[str, str]) -> ImportedOrganization:
    name = str(team.get("team_alias") or team.get("team_id"))[:100]
    organization = ImportedOrganization(name)
    members = team.get("members_with_roles") or []
    listed = members if isinstance(members, list) else []
    for member in listed:
        if isinstance(member, Mapping) and (member.get("user_id") or member.get("user_email")):
            email = _account(plan, str(member.get("user_id") or member["user_email"]), member.get("user_email"))
            organization.members[email] = _ROLES.get(str(member.get("role")), "member")
    allowed = [str(one) for one in team.get("models") or ()]
    if allowed and not _ALL.intersection(allowed):
        organization.policy["model_allow"] = [models.get(one, one) for one in allowed]
    organization.limits, unmapped = limits_of(team, f"team {name}")
    plan.unmapped += unmapped
    if team.get("blocked"):
        organization.policy["model_allow"] = []
    return organization


def _key(plan: Plan, key: Row, organizations: Mapping[str, ImportedOrganization], now: datetime) -> None:
    name = str(key.get("key_alias") or key.get("key_name") or "default")[:100]
    organization = organizations.get(str(key.get("team_id")))
    expires = _time(key.get("expires"))
    if key.get("blocked") or (expires is not None and expires <= now):
        plan.unmapped.append(f"key {name}: it is blocked or has expired")
        return
    owner = key.get("user_id") or (f"{organization.name}-keys" if organization else name)
    email = _account(plan, str(owner), None)
    if organization is not None:
        organization.members.setdefault(email, "member")
    ttl_s = None if expires is None else int((expires - now).total_seconds())
    limits, unmapped = limits_of(key, f"key {name}")
    plan.unmapped += unmapped
    plan.keys.append(ImportedKey(name, email, ttl_s, organization.name if organization else None, limits))
    models = [str(one) for one in key.get("models") or ()]
    if models and not _ALL.intersection(models):
        plan.unmapped.append(f"key {name}: its list of models; policies are of organizations")


def _time(text: Any) -> datetime | None:
    if not isinstance(text, str) or not text:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
