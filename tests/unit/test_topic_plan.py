"""What is between the topics of a cluster and those that are wanted."""

from hypothesis import given
from hypothesis import strategies as st

from libs.bus.topic_plan import Change, Kind, Shape, plan

NAMES, VALUES = st.sampled_from("abcd"), st.sampled_from(["1", "2", "3"])
SHAPES = st.builds(
    Shape, NAMES, st.integers(1, 3), st.integers(1, 3), st.dictionaries(st.sampled_from(["x", "y"]), VALUES)
)
CLUSTERS = st.lists(SHAPES, unique_by=lambda shape: shape.name)


@given(CLUSTERS)
def test_what_is_as_wanted_needs_nothing(wanted: list[Shape]) -> None:
    assert not list(plan(wanted, {shape.name: shape for shape in wanted}))


@given(CLUSTERS, CLUSTERS)
def test_what_was_applied_needs_nothing_more(wanted: list[Shape], cluster: list[Shape]) -> None:
    found = {shape.name: shape for shape in cluster}
    changes = list(plan(wanted, found))
    after = {**found, **{name: _applied(name, wanted, found, changes) for name in {one.topic for one in changes}}}
    assert {change.kind for change in plan(wanted, after)} <= {Kind.IMPOSSIBLE}
    # Topics and settings that nobody asked for are as they were.
    for name, shape in found.items():
        for setting, value in shape.configuration.items():
            if setting not in {change.what for change in changes if change.topic == name}:
                assert after[name].configuration[setting] == value


def _applied(name: str, wanted: list[Shape], found: dict[str, Shape], changes: list[Change]) -> Shape:
    (shape,) = (one for one in wanted if one.name == name)
    if name not in found:
        return shape
    there = found[name]
    settings = {one.what: one.wanted for one in changes if one.topic == name and one.kind is Kind.SET}
    return Shape(name, there.partitions, there.replication, {**there.configuration, **settings})


def test_the_count_of_partitions_is_for_life() -> None:
    (change,) = plan([Shape("a", 8, 1)], {"a": Shape("a", 4, 1)})
    assert change == Change(Kind.IMPOSSIBLE, "a", "partitions", "4", "8")
