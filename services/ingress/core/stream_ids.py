"""``X-Sluice-Stream``: where on the log an answer begins. Pure.

An ID is no secret by itself: whoever reads is asked for the account, or the address, that the record there names.
"""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from uuid import UUID

from contracts.record import Lasting, ReplyAddress

PREFIX = "stream_"
_FORM = struct.Struct(">HQ16s")
_LENGTH = 36
_KEPT = 0x8000


@dataclass(frozen=True, slots=True)
class StreamId:
    """The position of an answer's first record, and the request that it answers."""

    partition: int
    offset: int
    request_id: str
    kept: bool = False
    """It is on ``gateway.kept-replies``, else on ``gateway.replies``."""

    @property
    def address(self) -> ReplyAddress:
        """Where it is looked for."""
        lasting = Lasting.KEPT if self.kept else Lasting.CONNECTION
        return ReplyAddress(partition=self.partition, ingress_id="", lasting=lasting)

    def encode(self) -> str:
        """As clients have it."""
        raw = _FORM.pack(self.partition | _KEPT * self.kept, self.offset, UUID(self.request_id).bytes)
        return PREFIX + urlsafe_b64encode(raw).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> "StreamId | None":
        """Inverse of `encode`; None where the text is none."""
        raw = text.removeprefix(PREFIX)
        if raw is text or len(raw) != _LENGTH - 1 or not raw.isascii():
            return None
        try:
            partition, offset, request = _FORM.unpack(urlsafe_b64decode(raw + "="))
        except (ValueError, struct.error):
            return None
        named = UUID(bytes=request)
        found = cls(partition & ~_KEPT, offset, str(named), bool(partition & _KEPT))
        return found if named.version == 7 and found.encode() == text else None
