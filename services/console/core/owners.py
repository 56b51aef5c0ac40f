"""Whose something is: an account's own, or an organization's. Pure."""

from dataclasses import dataclass
from enum import Enum


class OwnerKind(Enum):
    """As a path of the API names it."""

    ACCOUNTS = "accounts"
    ORGANIZATIONS = "organizations"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns keys, credit and usage."""

    kind: OwnerKind
    id: str

    @property
    def name(self) -> str:
        """As ledger and vault have it: ``acct:<id>`` or ``org:<id>``."""
        return f"{'acct' if self.kind is OwnerKind.ACCOUNTS else 'org'}:{self.id}"

    @property
    def organization_id(self) -> str | None:
        """None for an account's own."""
        return self.id if self.kind is OwnerKind.ORGANIZATIONS else None
