"""How long a recording is at the most, by its bytes alone, before anybody has listened. Pure.

Sources: the WAVE format (Microsoft, "Multimedia Programming Interface", 1991), RFC 9639 for FLAC.
"""

import struct

LEAST_BYTES_A_SECOND = 500
"""4 kbit/s: less than the lowest rate of Opus (6), MP3 (8) and AMR (4.75). Codecs that send nothing in a silence can be
below it; what is charged is what the provider counts."""
USUAL_BYTES_A_SECOND = 16_000
"""128 kbit/s."""
_PCM = (1, 3, 0xFFFE)
"""Samples of a fixed size: whole numbers, floats, or (extensible) one of them."""


def seconds_most(content: bytes) -> int:
    """Seconds that have begun; exact for WAVE and FLAC, a bound for all others."""
    found = _wave(content) if content[:4] == b"RIFF" else _flac(content) if content[:4] == b"fLaC" else None
    return found if found is not None else -(-len(content) // LEAST_BYTES_A_SECOND)


def seconds_about(content_bytes: int) -> int:
    """What recordings of this size usually have."""
    return -(-content_bytes // USUAL_BYTES_A_SECOND)


def _wave(content: bytes) -> int | None:
    """By the size of a sample, not by the rate of bytes, which decoders pass over."""
    if content[8:16] != b"WAVEfmt " or len(content) < 36:
        return None
    form, channels, rate, _bytes_a_second, _block, bits = struct.unpack_from("<HHIIHH", content, 20)
    each = channels * bits // 8 * rate
    return -(-len(content) // each) if form in _PCM and each else None


def _flac(content: bytes) -> int | None:
    """By the first metadata block, which is STREAMINFO; a count of 0 is unknown."""
    if len(content) < 26 or content[4] & 0x7F:
        return None
    packed = int.from_bytes(content[18:26], "big")
    rate, samples = packed >> 44, packed & ((1 << 36) - 1)
    return -(-samples // rate) if rate and samples else None
