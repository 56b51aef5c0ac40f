"""Accounts, organizations, members, policies and keys that an import makes. Pure data."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Limits = dict[str, str | int]
"""By meter, as `./sluice limits set` takes them."""


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """A key to be made anew: the old one is a hash, and nobody can read it back."""

    name: str
    email: str
    """Of its account."""
    ttl_s: int | None = None
    organization: str | None = None
    """Whom its requests are for, by name: its clients send the organization's header."""
    limits: Limits = field(default_factory=dict)


@dataclass(slots=True)
class ImportedOrganization:
    """An organization with its members."""

    name: str
    members: dict[str, str] = field(default_factory=dict)
    """Roles by e-mail address."""
    policy: dict[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=dict)

    @property
    def owner(self) -> str | None:
        """The first member who owns it."""
        return next((email for email, role in self.members.items() if role == "owner"), None)


@dataclass(slots=True)
class Plan:
    """What is to be made, and what is not."""

    accounts: dict[str, str] = field(default_factory=dict)
    """E-mail addresses by whatever named the account before."""
    organizations: list[ImportedOrganization] = field(default_factory=list)
    keys: list[ImportedKey] = field(default_factory=list)
    limits: dict[str, Limits] = field(default_factory=dict)
    """Of accounts, by e-mail address."""
    unmapped: list[str] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """For people: what would be made."""
        return [
            *({"make": "account", "name": email, "for": None} for email in dict.fromkeys(self.accounts.values())),
            *({"make": "organization", "name": one.name, "for": one.owner} for one in self.organizations),
            *(
                {"make": f"member ({role})", "name": email, "for": one.name}
                for one in self.organizations
                for email, role in one.members.items()
            ),
            *({"make": "policy", "name": str(one.policy), "for": one.name} for one in self.organizations if one.policy),
            *({"make": "key", "name": one.name, "for": one.organization or one.email} for one in self.keys),
            *({"make": "limits", "name": _shown(limits), "for": name} for name, limits in self._limited()),
        ]

    def _limited(self) -> Iterator[tuple[str, Limits]]:
        yield from self.limits.items()
        yield from ((one.name, one.limits) for one in self.organizations if one.limits)
        yield from ((f"key {one.name}", one.limits) for one in self.keys if one.limits)


def _shown(limits: Limits) -> str:
    return ", ".join(f"{meter} {most}" for meter, most in limits.items())
