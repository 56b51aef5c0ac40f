"""Makes what a plan says, by the management API. Once more makes nothing twice."""

from typing import Any
from urllib.parse import quote

from services.cli.api import Api
from services.cli.importing.plan import Limits, Plan


def apply(api: Api, plan: Plan) -> list[dict[str, Any]]:
    """The new keys, each shown this once. Raises StackError as `Api.call` does."""
    accounts = {email: _account(api, email) for email in dict.fromkeys(plan.accounts.values())}
    there = {str(one["name"]): str(one["id"]) for one in api.rows("/api/organizations?limit=1000")}
    for organization in plan.organizations:
        owner = accounts[organization.owner or ""]
        if organization.name not in there:
            made = api.call("POST", "/api/organizations", {"name": organization.name, "owner": owner})
            there[organization.name] = made["id"]
        path = f"/api/organizations/{there[organization.name]}"
        for email, role in organization.members.items():
            api.call("PUT", f"{path}/members/{accounts[email]}", {"role": role})
        if organization.policy:
            api.call("PUT", f"{path}/policy", organization.policy)
        _limit(api, path, "all", organization.limits)
    for email, limits in plan.limits.items():
        _limit(api, f"/api/accounts/{accounts[email]}", "all", limits)
    made_keys = []
    for key in plan.keys:
        path = f"/api/accounts/{accounts[key.email]}/keys"
        if any(one["name"] == key.name for one in api.rows(path)):
            continue
        issued = api.call("POST", path, {"name": key.name} | ({"ttl_s": key.ttl_s} if key.ttl_s else {}))
        if key.limits:
            # A key is limited where it is used: in its organization, else in its account.
            prints = {one["id"]: one["fingerprint"] for one in api.rows(path)}
            where = f"/api/organizations/{there[key.organization]}" if key.organization else path.removesuffix("/keys")
            _limit(api, where, f"key:{prints[issued['id']]}", key.limits)
        made_keys.append(
            {
                "name": key.name,
                "account": accounts[key.email],
                "organization": there.get(key.organization or ""),
                "key": issued["key"],
            }
        )
    return made_keys


def _limit(api: Api, path: str, scope: str, limits: Limits) -> None:
    if limits:
        api.call("PATCH", f"{path}/limits", {"scope": scope, "meters": limits})


def _account(api: Api, email: str) -> str:
    for one in api.rows(f"/api/accounts?email={quote(email)}"):
        if one["email"] == email:
            return str(one["id"])
    return str(api.call("POST", "/api/accounts", {"email": email})["id"])
