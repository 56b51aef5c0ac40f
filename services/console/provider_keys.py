"""Users' own provider keys: sealed for the vault before they touch the log, listed from the vault's records."""

from collections.abc import Mapping

from aiokafka.errors import KafkaError

from contracts import topics
from contracts.clock import now_ms
from contracts.control import CredentialChanged
from contracts.mcp import provider_of, server_of
from contracts.vault import CredentialRemoved, CredentialSubmitted, CredentialTestOrdered, RewrapOrdered, VaultCommand
from libs.bus.producer import Producer, settle
from libs.bus.views import View
from libs.config.gateway import McpSettings
from libs.config.providers import Provider
from libs.config.versions import CatalogVersions
from libs.mcp.registration import Registration, RegistrationError
from libs.outbound.addresses import Reachable
from libs.outbound.hooks import HOOK, Hook
from libs.provider_keys.documents import KeyFormError
from libs.provider_keys.key_forms import as_stored, hint_of
from libs.provider_keys.live_check import LiveChecks, NoAnswerError
from libs.sealing.credentials import credential_id, seal_credential
from libs.sealing.secret import Secret
from services.console.answers import Answer
from services.console.errors import Away, BadInput, NotFound


class StoredKey(Answer):
    """A provider key of one's own, without the key; times are epoch milliseconds."""

    provider: str
    tail: str
    added_by: str
    created_at_ms: int
    updated_at_ms: int
    last_used_at_ms: int | None
    last_error: str | None


class McpServer(Answer):
    """A server of MCP that was registered, without its headers; times are epoch milliseconds."""

    name: str
    url: str
    """Without its query."""
    added_by: str
    updated_at_ms: int
    last_used_at_ms: int | None
    last_error: str | None


class Vault(Answer):
    """Which key-encryption key wraps, and how many keys an older one wraps still."""

    kek_version: str
    credentials: int
    to_rewrap: int


class ProviderKeys:
    """The console's side of the vault. It never keeps a key, and cannot read one back."""

    def __init__(self, producer: Producer, versions: CatalogVersions) -> None:
        self._producer = producer
        self._versions = versions
        self._checks = LiveChecks()
        self._vaults = View(topics.VAULTS)
        self._credentials = View(topics.CREDENTIALS)
        self._uses = View(topics.CREDENTIAL_USES)
        self.views = (self._vaults, self._credentials, self._uses)

    @property
    def providers(self) -> Mapping[str, Provider]:
        """Those that a key may be added for, by ID."""
        return self._versions.newest.providers

    async def add(self, owner: str, provider_id: str, key: Secret, submitted_by: str) -> str:
        """Seals a key and orders the vault to store it; returns the credential's ID.

        Raises:
            BadInput: no such provider, or not a key of it.
            Away: there is no vault yet, or the log does not take the order.
        """
        return await self._submit(owner, provider_id, self._stored_form(provider_id, key), submitted_by)

    async def _submit(self, owner: str, provider_id: str, key: Secret, submitted_by: str) -> str:
        vault = next(iter(self._vaults.entries.values()), None)
        if vault is None:
            raise Away("the vault has not announced itself yet; nothing was stored, try again")
        name = credential_id(owner, provider_id)
        command = CredentialSubmitted(
            credential_id=name,
            provider_id=provider_id,
            owner=owner,
            sealed_key=seal_credential(key, vault.public_key, owner=owner, provider_id=provider_id),
            submitted_by=submitted_by,
            submitted_at_ms=now_ms(),
        )
        await self._order(command)
        return name

    def hint(self, provider_id: str, key: Secret) -> str | None:
        """What speaks against a key, which is stored all the same."""
        return hint_of(self.providers[provider_id], key.reveal().strip())

    async def check(self, owner: str, provider_id: str, key: Secret) -> None:
        """Asks the provider whether it takes a key. It may hang: nothing must be held meanwhile.

        Raises:
            BadInput: no such provider, not a key of it, or one that the provider refuses.
            Away: the provider does not answer.
        """
        key = self._stored_form(provider_id, key)
        try:
            refusal = await self._checks.refusal_of(owner, provider_id, self.providers[provider_id], key)
        except NoAnswerError as error:
            raise Away(f"{error}; nothing was stored (add without the check)") from None
        if refusal:
            raise BadInput(f"nothing was stored: {provider_id} refuses this key")

    def _stored_form(self, provider_id: str, key: Secret) -> Secret:
        if provider_id not in self.providers:
            raise BadInput(f"keys can be added for: {', '.join(sorted(self.providers))}")
        try:
            return Secret(as_stored(self.providers[provider_id], key.reveal()))
        except KeyFormError as error:
            raise BadInput(str(error)) from None

    def _stored(self, owner: str, provider_id: str) -> str:
        """The ID of a key that the vault has. Raises NotFound."""
        name = credential_id(owner, provider_id)
        if self._credentials.get(name) is None:
            raise NotFound(f"there is no key for {provider_id!r} here")
        return name

    async def remove(self, owner: str, provider_id: str, removed_by: str) -> None:
        """Orders the vault to destroy a key.

        Raises:
            NotFound: there is none.
            Away: the log does not take the order.
        """
        name = self._stored(owner, provider_id)
        command = CredentialRemoved(
            credential_id=name, provider_id=provider_id, owner=owner, removed_by=removed_by, removed_at_ms=now_ms()
        )
        await self._order(command)

    async def order_test(self, owner: str, provider_id: str) -> int:
        """Orders the vault to ask the provider whether it takes a stored key; returns the time of the order (ms).

        Raises:
            NotFound: there is none.
            Away: the log does not take the order.
        """
        name = self._stored(owner, provider_id)
        ordered_at_ms = now_ms()
        await self._order(CredentialTestOrdered(credential_id=name, ordered_at_ms=ordered_at_ms))
        return ordered_at_ms

    async def order_rewrap(self, ordered_by: str) -> None:
        """Orders the vault to wrap every data key anew. Raises Away."""
        await self._order(RewrapOrdered(ordered_by=ordered_by, ordered_at_ms=now_ms()))

    def vault(self) -> Vault:
        """The vault's announcement. Raises Away where there is none yet."""
        vault = next(iter(self._vaults.entries.values()), None)
        if vault is None:
            raise Away("the vault has not announced itself yet; try again")
        return Vault(kek_version=vault.kek_version, credentials=vault.credentials, to_rewrap=vault.to_rewrap)

    def rows(self, owner: str) -> list[StoredKey]:
        """An owner's keys, by provider."""
        own = (record for record in self._of(owner) if record.provider_id != HOOK)
        return [self._row(record) for record in own if server_of(record.provider_id) is None]

    def _of(self, owner: str) -> list[CredentialChanged]:
        own = [record for record in self._credentials.entries.values() if record.owner == owner]
        return sorted(own, key=lambda record: record.provider_id)

    def _row(self, record: CredentialChanged) -> StoredKey:
        used = self._uses.get(record.credential_id)
        # An older record is about the key that this one replaced.
        if used and used.used_at_ms < record.updated_at_ms:
            used = None
        return StoredKey(
            provider=record.provider_id,
            tail=record.tail,
            added_by=record.submitted_by,
            created_at_ms=record.created_at_ms,
            updated_at_ms=record.updated_at_ms,
            last_used_at_ms=used.used_at_ms if used else None,
            last_error=used.error if used else None,
        )

    # Webhooks of guardrails: likewise the address with its secret.

    async def set_hook(self, organization_id: str, hook: Hook, settings: McpSettings, submitted_by: str) -> str:
        """Orders the vault to store an organization's webhook; returns the credential's ID. Raises as `register`."""
        try:
            hook.check(Reachable(settings.networks))
        except ValueError as error:
            raise BadInput(str(error)) from None
        return await self._submit(f"org:{organization_id}", HOOK, hook.encode(), submitted_by)

    def hook(self, organization_id: str) -> StoredKey | None:
        """An organization's webhook, without its secret; its ``tail`` is its address."""
        record = self._credentials.get(credential_id(f"org:{organization_id}", HOOK))
        return None if record is None else self._row(record)

    # Servers of MCP: what is sealed is the address with the headers.

    async def register(
        self, owner: str, name: str, registration: Registration, settings: McpSettings, submitted_by: str
    ) -> str:
        """Orders the vault to store a server; returns the credential's ID.

        Raises:
            BadInput: it cannot be one, or there are too many.
            Away: there is no vault yet, or the log does not take the order.
        """
        try:
            registration.check(Reachable(settings.networks))
        except RegistrationError as error:
            raise BadInput(str(error)) from None
        others = [server for server in self.servers(owner) if server.name != name]
        if len(others) >= settings.servers:
            raise BadInput(f"there are {len(others)} servers already; remove one first")
        return await self._submit(owner, provider_of(name), registration.encode(), submitted_by)

    def servers(self, owner: str) -> list[McpServer]:
        """An owner's servers, by name."""
        found = ((server_of(record.provider_id), record) for record in self._of(owner))
        return [self._server(name, record) for name, record in found if name is not None]

    def _server(self, name: str, record: CredentialChanged) -> McpServer:
        row = self._row(record)
        return McpServer(
            name=name,
            url=row.tail,
            added_by=row.added_by,
            updated_at_ms=row.updated_at_ms,
            last_used_at_ms=row.last_used_at_ms,
            last_error=row.last_error,
        )

    async def _order(self, command: VaultCommand) -> None:
        try:
            await settle([await self._producer.publish(topics.VAULT_COMMANDS, command)])
        except KafkaError:
            raise Away("the log does not take the order; try again") from None
