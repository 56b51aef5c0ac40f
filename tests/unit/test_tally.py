"""What relays tell of providers."""

from contracts.outcomes import OutcomesCounted, Pace
from contracts.record import Refusal
from services.relay.core.tally import Tally


def test_calls_are_counted_by_what_they_say_of_the_provider() -> None:
    tally = Tally()
    for _ in range(3):
        tally.answered("a")
    for status in (400, 413, 401):
        tally.refused("a", Refusal(status=status, message="of the request, or a key that is nobody's fault here"))
    tally.refused("a", Refusal(status=429, message=""))
    for status in (502, 503, 504):
        tally.refused("b", Refusal(status=status, message=""))
    told = {one.provider_id: one for one in tally.take("r", 7)}
    assert told["a"] == OutcomesCounted(relay_id="r", provider_id="a", answered=6, limited=1, counted_at_ms=7)
    assert told["b"] == OutcomesCounted(relay_id="r", provider_id="b", failed=3, counted_at_ms=7)
    assert list(tally.take("r", 8)) == [], "each is told once"


def test_paces_are_means_and_short_streams_say_nothing_of_speed() -> None:
    tally = Tally()
    tally.streamed("a", "m", first_byte_ms=100, output_tokens=100, seconds=1)
    tally.streamed("a", "m", first_byte_ms=200, output_tokens=300, seconds=1)
    tally.streamed("a", "m", first_byte_ms=300, output_tokens=19, seconds=1)
    tally.streamed("a", "n", first_byte_ms=50, output_tokens=100, seconds=0.1)
    (told,) = tally.take("r", 1)
    assert told.paces == {
        "m": Pace(first_byte_ms=200, tokens_per_s=200),
        "n": Pace(first_byte_ms=50),
    }
