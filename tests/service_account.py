"""A service account of Google Cloud that nobody has."""

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def pem(key: PrivateKeyTypes) -> str:
    """A private key as key files have it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


RSA_KEY = rsa.generate_private_key(65_537, 2_048)
ACCOUNT = {
    "type": "service_account",
    "project_id": "project-1",
    "private_key_id": "key-1",
    "client_email": "sluice@project-1.iam.gserviceaccount.com",
    "private_key": pem(RSA_KEY),
}
