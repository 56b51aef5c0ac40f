"""Fetches of aiokafka in sessions: it can speak that version of the protocol, and names every partition each time.

Two of its functions are wrapped; what it makes of an answer stays its own. ADR 51 has the measurement.
"""

from collections.abc import Callable
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.protocol.fetch import FetchRequest

from libs.bus.fetch_session import FetchSession

SESSIONS_SINCE_VERSION = 7
"""Of the fetch request: Kafka 1.1."""


class SessionFetch(FetchRequest):  # type: ignore[misc]
    """A fetch that names what is new to the broker. Its ``topics`` are all that is wanted, as aiokafka expects."""

    _CLASSES = FetchRequest._CLASSES

    def __init__(self, whole: FetchRequest, session: FetchSession[TopicPartition]) -> None:
        self.__dict__.update(vars(whole))
        self._wanted: list[tuple[str, list[tuple[int, int, int]]]] = whole.topics
        self.session = session

    @property
    def topics(self) -> list[tuple[str, list[tuple[int, int, int]]]]:
        """Offset and most bytes of each partition that is wanted."""
        return self._wanted

    def build(self, request_struct_class: Any) -> Any:
        """The request in a version of the protocol."""
        self._topics = self._wanted
        if request_struct_class.API_VERSION < SESSIONS_SINCE_VERSION:
            return super().build(request_struct_class)
        wanted = {TopicPartition(topic, entry[0]): entry for topic, entries in self._wanted for entry in entries}
        asked = self.session.ask(wanted)
        self._topics = _by_topic({one: wanted[one] for one in asked.partitions})
        request = super().build(request_struct_class)
        request.session_id, request.session_epoch = asked.session_id, asked.epoch
        request.forgotten_topics_data = _by_topic({one: one.partition for one in asked.forgotten})
        return request


def _by_topic(entries: dict[TopicPartition, Any]) -> list[tuple[str, list[Any]]]:
    found: dict[str, list[Any]] = {}
    for partition, entry in entries.items():
        found.setdefault(partition.topic, []).append(entry)
    return list(found.items())


_send = AIOKafkaClient.send


def _in_session(fetch: Callable[..., Any]) -> Callable[..., Any]:
    """Of `Fetcher._proc_fetch_request`. What an assignment knows of its partitions begins with it, and so do its
    sessions: the first answer has the end of each partition."""

    async def fetch_in_session(fetcher: Any, assignment: Any, node_id: int, request: FetchRequest) -> Any:
        sessions: dict[int, FetchSession[TopicPartition]] = assignment.__dict__.setdefault("sluice_sessions", {})
        session = sessions.setdefault(node_id, FetchSession())
        return await fetch(fetcher, assignment, node_id, SessionFetch(request, session))

    return fetch_in_session


async def _send_in_session(client: Any, node_id: int, request: Any, **options: Any) -> Any:
    """In place of `AIOKafkaClient.send`."""
    if type(request) is not SessionFetch:
        return await _send(client, node_id, request, **options)
    try:
        response = await _send(client, node_id, request, **options)
    except BaseException:
        request.session.lost()
        raise
    if response.API_VERSION >= SESSIONS_SINCE_VERSION:
        request.session.answered(response.session_id, response.error_code)
    return response


def fetch_in_sessions() -> None:
    """From now on this process's consumers name in a fetch only what is new to the broker."""
    Fetcher._proc_fetch_request = _in_session(Fetcher._proc_fetch_request)
    AIOKafkaClient.send = _send_in_session
