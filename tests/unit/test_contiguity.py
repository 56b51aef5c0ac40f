"""However the embedded broker shows its batches, every record is taken once and in order."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from libs.bus.contiguity import PATIENCE_S, Contiguity


@dataclass(frozen=True)
class Raw:
    offset: int


@given(st.lists(st.lists(st.booleans(), min_size=20, max_size=20), max_size=30))
def test_takes_all_in_order_whatever_is_visible_when(visibility: list[list[bool]]) -> None:
    log = [Raw(offset) for offset in range(20)]
    contiguity, taken = Contiguity(0), list[int]()
    for visible in [*visibility, [True] * 20]:
        fetched = [raw for raw in log[contiguity.next_offset :] if visible[raw.offset]]
        checked = contiguity.check(fetched, 0.0)
        taken += [raw.offset for raw in checked.records]
        if checked.again_from is not None:
            assert checked.again_from == contiguity.next_offset
    assert taken == list(range(20))


def test_an_old_gap_is_what_retention_left() -> None:
    contiguity = Contiguity(0)
    assert contiguity.check([Raw(5)], 10.0).records == []
    assert contiguity.check([Raw(5)], 10.0 + PATIENCE_S - 0.1).records == []
    assert contiguity.check([Raw(5), Raw(6)], 10.0 + PATIENCE_S).records == [Raw(5), Raw(6)]
    assert contiguity.next_offset == 7
