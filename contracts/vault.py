"""``vault.commands.v1``: orders to the vault. A key in them is sealed for the vault alone."""

from .record import EpochMs, Record


class CredentialSubmitted(Record):
    """A provider key on its way into the vault."""

    credential_id: str
    provider_id: str
    owner: str
    """``org:<id>`` or ``acct:<id>``."""
    sealed_key: str
    submitted_by: str
    submitted_at_ms: EpochMs

    @property
    def event_subject(self) -> str:
        return self.credential_id

    @property
    def event_id(self) -> str:
        return f"{self.credential_id}/CredentialSubmitted/{self.submitted_at_ms}"


class CredentialTestOrdered(Record):
    """Ask the provider whether it takes this key; the answer is a `contracts.control.CredentialUsed`."""

    credential_id: str
    ordered_at_ms: EpochMs

    @property
    def event_subject(self) -> str:
        return self.credential_id

    @property
    def event_id(self) -> str:
        return f"{self.credential_id}/CredentialTestOrdered/{self.ordered_at_ms}"


class RewrapOrdered(Record):
    """Wrap every data key by the current key-encryption key, so that older ones can be destroyed."""

    ordered_by: str
    ordered_at_ms: EpochMs

    @property
    def event_subject(self) -> str:
        return self.ordered_by

    @property
    def event_id(self) -> str:
        return f"RewrapOrdered/{self.ordered_at_ms}"


class CredentialRemoved(Record):
    """Forget this key."""

    credential_id: str
    provider_id: str
    owner: str
    removed_by: str
    removed_at_ms: EpochMs

    @property
    def event_subject(self) -> str:
        return self.credential_id

    @property
    def event_id(self) -> str:
        return f"{self.credential_id}/CredentialRemoved/{self.removed_at_ms}"


VaultCommand = CredentialSubmitted | CredentialRemoved | CredentialTestOrdered | RewrapOrdered
