"""Refusals at the connection: who would not come in is refused before anything is made of it."""

from collections import OrderedDict
from collections.abc import Iterable

from contracts.requests import Surface
from libs.runtime.framing import RawHeaders
from services.ingress.core.answers import error_body
from services.ingress.core.errors import IngressError
from services.ingress.door import Door, Shed

MOST_KNOWN = 10_000
_IDENTIFYING = (b"authorization", b"x-api-key", b"x-kilocode-organizationid")

_Known = tuple[bytes | None, ...]


class Gate:
    """Knows who sent which headers lately; whoever it does not know goes on to the door.

    It lets nobody in: a key that was revoked meanwhile is refused all the same.
    """

    def __init__(self, door: Door, paths: Iterable[str], anthropic_paths: Iterable[str]) -> None:
        """
        Args:
            paths: what it stands before.
            anthropic_paths: those of them whose clients want errors in Anthropic's shape.
        """
        self._door = door
        self._surfaces = dict.fromkeys((path.encode() for path in paths), Surface.CHAT_COMPLETIONS)
        self._surfaces |= dict.fromkeys((path.encode() for path in anthropic_paths), Surface.MESSAGES)
        self._answers: dict[tuple[Shed, Surface], bytes] = {
            (shed, surface): _raw(shed.error(), surface)
            for shed in Shed
            for surface in (Surface.CHAT_COMPLETIONS, Surface.MESSAGES)
        }
        self._owners: OrderedDict[_Known, str | None] = OrderedDict()

    def remember(self, headers: RawHeaders, owner: str | None) -> None:
        """Adds what a request's headers identify: its owner."""
        known = _identifying(headers)
        self._owners[known] = owner
        self._owners.move_to_end(known)
        if len(self._owners) > MOST_KNOWN:
            self._owners.popitem(last=False)

    def __call__(self, url: bytes, headers: RawHeaders) -> bytes | None:
        """The answer to a request that would be refused at once; None for any other."""
        surface = self._surfaces.get(url.partition(b"?")[0])
        if surface is None:
            return None
        known = _identifying(headers)
        if known not in self._owners:
            return None
        shed = self._door.knock(self._owners[known])
        return self._answers[shed, surface] if shed else None


def _identifying(headers: RawHeaders) -> _Known:
    found = {name: value for name, value in headers if name in _IDENTIFYING}
    return tuple(found.get(name) for name in _IDENTIFYING)


def _raw(error: IngressError, surface: Surface) -> bytes:
    refusal = error.refusal
    body = error_body(refusal, surface)
    return b"HTTP/1.1 %d \r\ncontent-type: application/json\r\ncontent-length: %d\r\nretry-after: %d\r\n\r\n%s" % (
        refusal.status,
        len(body),
        refusal.retry_after_s or 0,
        body,
    )
