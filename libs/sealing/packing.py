"""Contents are packed before they are sealed; unpacking is bounded, whatever was sealed."""

import zlib

from libs.sealing.hybrid import SealError

MOST_BYTES = 64 * 1024 * 1024


def unpacked(packed: bytes, most_bytes: int = MOST_BYTES) -> bytes:
    """Inverse of `zlib.compress`. Raises SealError where it was not packed so, or is larger than that."""
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(packed, most_bytes)
    except zlib.error:
        raise SealError("it does not unpack") from None
    if not unpacking.eof:
        raise SealError("it is larger than anything of ours")
    return content
