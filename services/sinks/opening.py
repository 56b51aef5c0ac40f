"""Records as the events of one sink: contents are opened here, and those of others are left out."""

from collections.abc import Collection

from contracts.contents import ContentRecorded
from contracts.headers import RETRIED_FOR, header
from contracts.record import Record
from libs.bus.records import Received
from libs.chat.exact_json import decode
from libs.sealing.contents import open_content
from libs.sealing.hybrid import KeyPair
from services.sinks.core.events import Event, event_of


class Opening:
    """Makes events of records."""

    def __init__(self, reader: str, pair: KeyPair | None = None, organizations: Collection[str] | None = None) -> None:
        """
        Args:
            reader: the sink's consumer group, without the number of a backfill.
            pair: of the contents; None: none can be opened.
            organizations: whose contents the sink is given; None: everybody's.
        """
        self._reader = reader
        self._pair = pair
        self._organizations = None if organizations is None else frozenset(organizations)

    def event(self, received: Received[Record]) -> Event | None:
        """The event of a record; None where it is not for this sink.

        Raises:
            SealError: it was sealed to another key.
        """
        record = received.record
        if not self._is_asked(header(received.headers, RETRIED_FOR)):
            return None
        if not isinstance(record, ContentRecorded):
            return event_of(record, received.timestamp_ms)
        wanted = self._organizations is None or record.organization_id in self._organizations
        if self._pair is None or not wanted:
            return None
        opened = open_content(
            record.sealed, self._pair, request_id=record.request_id, organization_id=record.organization_id
        )
        event = event_of(record, received.timestamp_ms)
        del event.data["sealed"]
        event.data.update(decode(opened.decode()))
        return event

    def _is_asked(self, readers: str | None) -> bool:
        """A record that comes again is for those whose dead letter it was."""
        return readers is None or any(
            one == self._reader or one.startswith(f"{self._reader}.") for one in readers.split(",")
        )
