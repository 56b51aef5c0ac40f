"""What the console says of a token in a form that is no token: who acts behind the door can be shown it.

A token is a secret of its client, so no record may carry it. Beside its own signature it carries a second one, of the
same key, over what it is: `contracts.requests.Voucher` on ``gateway.requests``. The vault asks for it before it seals a
provider's key, so that whoever has the ingress's credentials can ask in the name of those whose tokens he has seen, and
of nobody else.
"""

import base64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from contracts.requests import Voucher

_PURPOSE = "sluice voucher v1"


def signed(key: Ed25519PrivateKey, voucher: Voucher, account_id: str) -> Voucher:
    """The voucher with its signature."""
    signature = base64.b64encode(key.sign(_signed_bytes(voucher, account_id))).decode()
    return voucher.model_copy(update={"signature": signature})


def is_of(key: Ed25519PublicKey, voucher: Voucher, account_id: str) -> bool:
    """Whether the key's owner signed it."""
    try:
        key.verify(base64.b64decode(voucher.signature, validate=True), _signed_bytes(voucher, account_id))
    except (InvalidSignature, ValueError):
        return False
    return True


def _signed_bytes(voucher: Voucher, account_id: str) -> bytes:
    parts = [
        _PURPOSE,
        voucher.kid,
        voucher.jti,
        account_id,
        voucher.organization_id or "",
        str(voucher.token_epoch),
        str(voucher.expires_at_s),
    ]
    # Lengths before the parts: no two vouchers have the same bytes.
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
