"""Key-encryption keys in AWS KMS, by its official client.

Source: AWS KMS API reference, "Encrypt" and "Decrypt". A data key (32 bytes) is encrypted under a KMS key that never
leaves KMS; the associated data is the encryption context, which KMS demands again to decrypt.
"""

import base64
from collections import OrderedDict
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from libs.sealing.envelope import EnvelopeError

MOST_CACHED = 100_000
TIMEOUT_S = 3
_REFUSALS = {"InvalidCiphertextException", "IncorrectKeyException", "NotFoundException", "AccessDeniedException"}


class KmsAwayError(ConnectionError):
    """KMS does not answer; the same call may succeed later."""


class AwsKms:
    """Wraps data keys with KMS keys, named by ARN or ID; the first given is the one that wraps.

    Unwrapped data keys stay in memory, a bounded number of them, so that no request waits for KMS: whoever loads
    envelopes opens each once, outside the event loop. Credentials and region come from the environment, as the AWS
    SDKs read it.
    """

    def __init__(self, key_ids: list[str], *, endpoint_url: str | None = None) -> None:
        """
        Args:
            endpoint_url: of a KMS that is not AWS's own, for tests and private endpoints.
        """
        if not key_ids:
            raise ValueError("name at least one KMS key")
        self._key_ids = key_ids
        options = Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"max_attempts": 2})
        session = botocore.session.get_session()
        self._client = session.create_client("kms", endpoint_url=endpoint_url, config=options)
        self._data_keys: OrderedDict[tuple[str, bytes, bytes], bytes] = OrderedDict()

    @property
    def current(self) -> str:
        """The KMS key that wraps."""
        return self._key_ids[0]

    def wrap(self, data_key: bytes, associated_data: bytes) -> bytes:
        """Encrypts a data key. Raises KmsAwayError or EnvelopeError."""
        answer = self._call(
            "encrypt", KeyId=self.current, Plaintext=data_key, EncryptionContext=_context(associated_data)
        )
        wrapped: bytes = answer["CiphertextBlob"]
        self._cache((self.current, wrapped, associated_data), data_key)
        return wrapped

    def unwrap(self, version: str, wrapped_key: bytes, associated_data: bytes) -> bytes:
        """Decrypts a data key. Raises KmsAwayError or EnvelopeError."""
        if version not in self._key_ids:
            raise EnvelopeError("no key-encryption key of that version")
        cache_key = (version, wrapped_key, associated_data)
        known = self._data_keys.get(cache_key)
        if known is not None:
            self._data_keys.move_to_end(cache_key)
            return known
        answer = self._call(
            "decrypt", KeyId=version, CiphertextBlob=wrapped_key, EncryptionContext=_context(associated_data)
        )
        data_key: bytes = answer["Plaintext"]
        self._cache(cache_key, data_key)
        return data_key

    def _cache(self, cache_key: tuple[str, bytes, bytes], data_key: bytes) -> None:
        self._data_keys[cache_key] = data_key
        if len(self._data_keys) > MOST_CACHED:
            self._data_keys.popitem(last=False)

    def _call(self, operation: str, **arguments: Any) -> Any:
        try:
            return getattr(self._client, operation)(**arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _REFUSALS:
                raise EnvelopeError(f"KMS refuses: {code}") from None
            raise KmsAwayError(f"KMS answers {code}") from None
        except BotoCoreError as error:
            raise KmsAwayError(f"KMS is away ({type(error).__name__})") from None


def _context(associated_data: bytes) -> dict[str, str]:
    return {"sluice": base64.b64encode(associated_data).decode()}
