"""What two readings of the log's progress say of the services, and what of it is drawn."""

from libs.bus.progress import GroupProgress, Reading
from services.console.core.flow import MOST_DOTS, WAITING, Flow, flow


def _reading(at_s: float, requests: int, **groups: GroupProgress) -> Reading:
    return Reading(
        at_s, {"gateway.requests.v1": requests}, {name.replace("_", "-"): one for name, one in groups.items()}
    )


def _state(found: Flow, name: str) -> str:
    return next(one.state for one in found.stations if one.name == name)


def test_rates_are_by_second_and_dots_are_few() -> None:
    found = flow(_reading(10, 100), _reading(12, 300))
    way = next(one for one in found.ways if one.target == "policy")
    assert (way.per_s, len(way.begins)) == (100, MOST_DOTS)
    assert all(0 <= begin < 1 for begin in way.begins)
    assert found.per_s == {"gateway.requests.v1": 100}


def test_nothing_moves_at_first_or_without_records() -> None:
    for found in (flow(None, _reading(1, 100)), flow(_reading(1, 100), _reading(2, 100))):
        assert not any(one.begins or one.per_s for one in found.ways)


def test_a_topic_that_was_made_anew_has_no_negative_rate() -> None:
    assert flow(_reading(1, 100), _reading(2, 0)).per_s == {"gateway.requests.v1": 0}


def test_a_service_is_what_its_group_is() -> None:
    found = flow(
        None,
        _reading(
            1,
            0,
            policy=GroupProgress("Stable", 2, 3),
            router=GroupProgress("Stable", 1, WAITING),
            relay=GroupProgress("PreparingRebalance", 1, 0),
            metering=GroupProgress("Empty", 0, 7),
        ),
    )
    names = ("policy", "router", "relay", "metering", "key-vault", "ingress")
    assert [_state(found, one) for one in names] == ["works", "waits", "moves", "away", "", ""]
    assert next((one.queue, one.members) for one in found.stations if one.name == "policy") == (3, 2)


def test_everything_is_on_the_drawing_and_nothing_overlaps() -> None:
    found = flow(None, _reading(1, 0))
    boxes = [(one.x, one.y, one.x + found.box_width, one.y + found.box_height) for one in found.stations]
    assert all(x >= 0 and y >= 0 and right <= found.width and low <= found.height for x, y, right, low in boxes)
    for number, (x, y, right, low) in enumerate(boxes):
        assert not any(x < r and other < right and y < lo and up < low for other, up, r, lo in boxes[number + 1 :])
