"""The users' own keys that this vault knows, encrypted, and which of them a request uses. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.control import CredentialChanged
from contracts.requests import RequestAccepted
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

    def put(self, credentials: Iterable[Credential]) -> None:
        """Adds or replaces."""
        for credential in credentials:
            self._credentials[credential.about.credential_id] = credential

    def remove(self, name: str) -> None:
        """Forgets one."""
        self._credentials.pop(name, None)

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
