"""The users' own keys that this vault knows, encrypted, and which of them a request uses. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.control import CredentialChanged
from contracts.mcp import MODEL, server_of
from contracts.requests import RequestAccepted
from libs.outbound.hooks import HOOK
from libs.sealing.credentials import credential_id
from libs.sealing.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Credential:
    """A stored key."""

    about: CredentialChanged
    envelope: Envelope


class CredentialBook:
    """Credentials by ID. One an owner and provider."""

    def __init__(self) -> None:
        self._credentials: dict[str, Credential] = {}
        self._hooks: dict[str, Credential] = {}
        """Webhooks by organization."""
        self._servers: dict[str, dict[str, Credential]] = {}
        """Those that are MCP servers, by owner and name."""

    def put(self, credentials: Iterable[Credential]) -> None:
        """Adds or replaces."""
        for credential in credentials:
            about = credential.about
            self._credentials[about.credential_id] = credential
            if about.provider_id == HOOK:
                self._hooks[about.owner.removeprefix("org:")] = credential
            if server_of(about.provider_id) is not None:
                self._servers.setdefault(about.owner, {})[about.provider_id] = credential

    def remove(self, name: str) -> None:
        """Forgets one."""
        gone = self._credentials.pop(name, None)
        if gone and gone.about.provider_id == HOOK:
            self._hooks.pop(gone.about.owner.removeprefix("org:"), None)
        if gone and (own := self._servers.get(gone.about.owner)):
            own.pop(gone.about.provider_id, None)

    def knows(self, about: CredentialChanged) -> bool:
        """True if the book has this state of the credential."""
        known = self._credentials.get(about.credential_id)
        return known is not None and known.about == about

    def get(self, name: str) -> Credential | None:
        """One by its ID."""
        return self._credentials.get(name)

    def __len__(self) -> int:
        return len(self._credentials)

    def wrapped_otherwise(self, kek_version: str) -> list[Credential]:
        """Those that another key-encryption key than this wraps."""
        return [one for one in self._credentials.values() if one.envelope.kek_version != kek_version]

    def records(self) -> dict[str, CredentialChanged]:
        """What others may know of the credentials."""
        return {name: credential.about for name, credential in self._credentials.items()}

    def find(self, request: RequestAccepted, provider_id: str) -> Credential | None:
        """The key that a request uses by itself: the organization's in its context, else the caller's own.

        Free models cost nothing and run on the gateway's key.
        """
        if request.free:
            return None
        return self._credentials.get(credential_id(request.caller.owner, provider_id))

    def hook(self, request: RequestAccepted) -> Credential | None:
        """The webhook of the caller's organization."""
        organization = request.caller.organization_id
        return self._hooks.get(organization) if organization else None

    def servers(self, request: RequestAccepted) -> list[Credential]:
        """The MCP servers that a request is for: all of its owner by name, or the one that it names."""
        own = self._servers.get(request.caller.owner, {})
        names = sorted(own) if request.model == MODEL else [request.model]
        return [own[name] for name in names if name in own]
