"""Prompts and answers on their way to sinks: sealed by relays to the one key that the service ``sinks`` has."""

import base64

from libs.sealing.hybrid import KeyPair, SealError, seal

PRIVATE_BYTES = 96


def seal_content(content: bytes, public_key: str, *, request_id: str, organization_id: str) -> str:
    """Seals the content of one request.

    Raises:
        SealError: the public key is none.
    """
    return seal(content, public_key, _info(request_id, organization_id))


def open_content(sealed: str, pair: KeyPair, *, request_id: str, organization_id: str) -> bytes:
    """What was sealed.

    Raises:
        SealError: it was for another key, request or organization, or changed.
    """
    return pair.open(sealed, _info(request_id, organization_id))


def key_pair(private: str) -> KeyPair:
    """The pair whose private half this is, in base64.

    Raises:
        SealError: it is none; the message does not quote it.
    """
    try:
        raw = base64.b64decode(private, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != PRIVATE_BYTES:
        raise SealError("the key of contents is base64 of 96 bytes; `./sluice sinks key` draws one")
    return KeyPair.from_bytes(raw)


def _info(request_id: str, organization_id: str) -> bytes:
    return f"sluice contents\0{request_id}\0{organization_id}".encode()
