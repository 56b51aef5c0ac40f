"""A user's own provider key on its way into the vault, and the name and data that bind it to its owner."""

from libs.sealing.hybrid import KeyPair, seal
from libs.sealing.secret import Secret


def credential_id(owner: str, provider_id: str) -> str:
    """An owner (``acct:<id>`` or ``org:<id>``) has one key a provider; a new one replaces it."""
    return f"{owner}/{provider_id}"


def seal_credential(secret: Secret, vault_public_key: str, *, owner: str, provider_id: str) -> str:
    """Seals a key so that the vault alone opens it.

    Raises:
        SealError: the vault's public key is none.
    """
    return seal(secret.reveal().encode(), vault_public_key, _about(owner, provider_id))


def open_credential(sealed: str, pair: KeyPair, *, owner: str, provider_id: str) -> Secret:
    """The key that was sealed for this owner and provider.

    Raises:
        SealError: it was not, or was changed.
    """
    return Secret(pair.open(sealed, _about(owner, provider_id)).decode())


def at_rest(owner: str, provider_id: str) -> bytes:
    """The associated data of a stored key: a row that is copied to another owner does not open."""
    return f"sluice credential\0{owner}\0{provider_id}".encode()


def masked_tail(secret: Secret) -> str:
    """What may be shown of a key: its last four characters, if it is long enough not to miss them."""
    value = secret.reveal()
    return f"…{value[-4:]}" if len(value) >= 16 else "…"


def _about(owner: str, provider_id: str) -> bytes:
    return f"sluice vault command\0{owner}\0{provider_id}".encode()
