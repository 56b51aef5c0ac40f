"""Fetch sessions against a broker that keeps the rules of KIP-227: it always reads what the consumer wants."""

from hypothesis import given
from hypothesis import strategies as st

from libs.bus.fetch_session import MOST_EPOCH, NO_ERROR, SESSION_NOT_FOUND, Asked, FetchSession

INVALID_EPOCH = 71
PARTITIONS = st.dictionaries(st.integers(0, 7), st.integers(0, 3), max_size=8)
"""Offset by partition."""


class Broker:
    """Its side of KIP-227, for one consumer at a time."""

    def __init__(self) -> None:
        self.sessions: dict[int, tuple[int, dict[int, int]]] = {}
        """The epoch that comes next and the offset of each partition, by ID."""
        self._last_id = 0
        self.full = False

    def fetch(self, asked: Asked[int]) -> tuple[int, int, dict[int, int]]:
        """Its answer: session, error, and what it has read."""
        positions = dict(asked.positions)
        if asked.epoch == 0:
            self.sessions.pop(asked.session_id, None)
            if self.full:
                return 0, NO_ERROR, positions
            self._last_id += 1
            self.sessions[self._last_id] = (1, positions)
            return self._last_id, NO_ERROR, positions
        if asked.session_id not in self.sessions:
            return 0, SESSION_NOT_FOUND, {}
        epoch, known = self.sessions[asked.session_id]
        if asked.epoch != epoch:
            return 0, INVALID_EPOCH, {}
        for one in asked.forgotten:
            del known[one]
        known |= positions
        self.sessions[asked.session_id] = (epoch + 1, known)
        return asked.session_id, NO_ERROR, known


TROUBLES = st.sampled_from(["", "lost before", "lost after", "evicted", "full"])


@given(st.lists(st.tuples(st.one_of(st.none(), PARTITIONS), PARTITIONS, TROUBLES)))
def test_a_broker_reads_what_is_wanted_whatever_was_lost(
    fetches: list[tuple[dict[int, int] | None, dict[int, int], str]],
) -> None:
    """Before a fetch its partitions may be chosen anew, and some of them may move."""
    broker, session, orphans = Broker(), FetchSession[int](), 0
    wanted: dict[int, int] = {}
    for chosen, moved, trouble in fetches:
        if chosen is not None:
            wanted = dict(chosen)
            session.want(chosen)
        for one, offset in moved.items():
            session.move(one, offset)
            if one in wanted:
                wanted[one] = offset
        assert session.wanted == wanted
        if trouble == "evicted":
            broker.sessions.clear()
        broker.full = trouble == "full"
        asked = session.ask()
        if trouble == "lost before":
            session.lost()
            continue
        session_id, error, read = broker.fetch(asked)
        if trouble == "lost after":
            session.lost()
            # Nobody knows its ID; a broker evicts it.
            orphans += asked.epoch == 0
            continue
        session.answered(session_id, error)
        if error == NO_ERROR:
            assert read == wanted
        else:
            # The next one, with nothing in between, is good.
            asked = session.ask()
            session_id, error, read = broker.fetch(asked)
            session.answered(session_id, error)
            assert (error, read) == (NO_ERROR, wanted)
        assert len(broker.sessions) <= 1 + orphans


def asked(session: FetchSession[str], wanted: dict[str, int]) -> Asked[str]:
    session.want(wanted)
    return session.ask()


def test_a_fetch_names_what_is_new_alone() -> None:
    session = FetchSession[str]()
    assert asked(session, {"a": 1, "b": 1, "c": 1}) == Asked(0, 0, {"a": 1, "b": 1, "c": 1}, [])
    session.answered(7, NO_ERROR)
    assert asked(session, {"a": 1, "b": 2, "d": 1}) == Asked(7, 1, {"b": 2, "d": 1}, ["c"])
    session.answered(7, NO_ERROR)
    session.move("a", 3)
    assert session.ask() == Asked(7, 2, {"a": 3}, [])
    session.answered(7, NO_ERROR)
    assert asked(session, {"a": 3, "b": 2, "d": 1}) == Asked(7, 3, {}, [])


def test_a_broken_session_is_closed_by_the_next() -> None:
    session = FetchSession[str]()
    asked(session, {"a": 1})
    session.answered(7, NO_ERROR)
    session.ask()
    session.answered(0, INVALID_EPOCH)
    assert session.ask() == Asked(7, 0, {"a": 1}, [])


def test_epochs_begin_again_where_they_end() -> None:
    session = FetchSession[str]()
    session.ask()
    session.answered(7, NO_ERROR)
    session._epoch = MOST_EPOCH
    session.answered(7, NO_ERROR)
    assert session.ask().epoch == 1
