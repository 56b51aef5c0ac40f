"""Key-encryption keys in KMS: the official client against a server that speaks KMS's documented wire form.

AWS itself cannot be reached from here. The form is that of the AWS KMS API reference: POST /, JSON 1.1, the operation
in ``X-Amz-Target``, a Signature Version 4 in ``Authorization``.
"""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from libs.sealing.aws_kms import AwsKms, KmsAwayError
from libs.sealing.envelope import EnvelopeError, KeyRing
from libs.sealing.key_encryption import KMS_ENDPOINT_VARIABLE, key_ring

OLD, NEW = "arn:aws:kms:us-east-1:111122223333:key/old", "arn:aws:kms:us-east-1:111122223333:key/new"


class _Kms(BaseHTTPRequestHandler):
    """Keys by ARN; the ciphertext blob is nonce and AES-GCM under the key, bound to the encryption context."""

    keys: ClassVar[dict[str, AESGCM]] = {OLD: AESGCM(b"o" * 32), NEW: AESGCM(b"n" * 32)}
    calls: ClassVar[list[str]] = []
    failing: ClassVar[bool] = False

    def do_POST(self) -> None:
        assert self.path == "/"
        assert self.headers["Content-Type"] == "application/x-amz-json-1.1"
        assert self.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIATEST/")
        assert "/us-east-1/kms/aws4_request" in self.headers["Authorization"]
        service, _, operation = self.headers["X-Amz-Target"].partition(".")
        assert service == "TrentService"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.calls.append(operation)
        if self.failing:
            self._answer(500, {"__type": "KMSInternalException", "message": "canary"})
            return
        key = self.keys.get(body["KeyId"])
        if key is None:
            self._answer(400, {"__type": "NotFoundException", "message": "no such key"})
            return
        context = json.dumps(body["EncryptionContext"], sort_keys=True).encode()
        if operation == "Encrypt":
            nonce = b"\0" * 12
            blob = nonce + key.encrypt(nonce, base64.b64decode(body["Plaintext"]), context)
            self._answer(200, {"CiphertextBlob": base64.b64encode(blob).decode(), "KeyId": body["KeyId"]})
            return
        assert operation == "Decrypt"
        blob = base64.b64decode(body["CiphertextBlob"])
        try:
            plaintext = key.decrypt(blob[:12], blob[12:], context)
        except InvalidTag:
            self._answer(400, {"__type": "InvalidCiphertextException", "message": ""})
            return
        self._answer(200, {"Plaintext": base64.b64encode(plaintext).decode(), "KeyId": body["KeyId"]})

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A KMS on loopback, and test credentials."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(_Kms, "calls", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Kms)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_secrets_are_sealed_and_opened_by_kms_keys(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KMS_ENDPOINT_VARIABLE, endpoint)
    sealed = key_ring(f"aws-kms:{OLD}").seal(b"secret", b"owner-a")
    assert sealed.kek_version == OLD
    assert _Kms.calls == ["Encrypt"]
    ring = key_ring(f"aws-kms:{NEW}, aws-kms:{OLD}")
    assert [ring.open(sealed, b"owner-a") for _ in range(3)] == [b"secret"] * 3
    assert _Kms.calls == ["Encrypt", "Decrypt"], "a data key that was unwrapped once is not asked for again"
    renewed = ring.rewrap(sealed, b"owner-a")
    assert (renewed.kek_version, renewed.ciphertext) == (NEW, sealed.ciphertext)
    assert KeyRing(AwsKms([NEW], endpoint_url=endpoint)).open(renewed, b"owner-a") == b"secret"


def test_what_is_not_meant_for_it_does_not_open(endpoint: str) -> None:
    ring = KeyRing(AwsKms([OLD], endpoint_url=endpoint))
    sealed = ring.seal(b"secret", b"owner-a")
    for other in (KeyRing(AwsKms([OLD], endpoint_url=endpoint)), ring):
        with pytest.raises(EnvelopeError, match="InvalidCiphertext"):
            other.open(sealed, b"owner-b")
    with pytest.raises(EnvelopeError, match="version"):
        KeyRing(AwsKms([NEW], endpoint_url=endpoint)).open(sealed, b"owner-a")
    with pytest.raises(EnvelopeError, match="NotFound"):
        KeyRing(AwsKms(["arn:none"], endpoint_url=endpoint)).seal(b"secret", b"o")


def test_a_service_that_is_away_is_told_from_a_key_that_is_wrong(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(AwsKms([OLD], endpoint_url=endpoint))
    monkeypatch.setattr(_Kms, "failing", True)
    with pytest.raises(KmsAwayError) as away:
        ring.seal(b"secret", b"o")
    assert "canary" not in str(away.value)
    with pytest.raises(KmsAwayError):
        KeyRing(AwsKms([OLD], endpoint_url="http://127.0.0.1:9")).seal(b"secret", b"o")


def test_settings_that_mix_or_name_nothing_are_refused(endpoint: str) -> None:
    for wrong in ("aws-kms:a,v1:b", "", "v1:short"):
        with pytest.raises(ValueError, match=r".*"):
            key_ring(wrong)
    with pytest.raises(ValueError, match="at least one"):
        AwsKms([], endpoint_url=endpoint)
