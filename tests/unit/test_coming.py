"""Who is on the way to the door: counted until it comes, and no longer than it may take."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.ingress.core.coming import Coming

WITHIN = 5


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["let through", "comes"])), max_size=60))
def test_it_is_the_plain_model(steps: list[tuple[str, str]]) -> None:
    coming, model = Coming(), list[tuple[int, str]]()
    for now, (owner, what) in enumerate(steps):
        coming.forget(now - WITHIN)
        model = [(at, one) for at, one in model if at > now - WITHIN]
        if what == "let through":
            coming.add(owner, now)
            model.append((now, owner))
        else:
            coming.came(owner)
            first = next((entry for entry in model if entry[1] == owner), None)
            if first:
                model.remove(first)
        counts = Counter(owner for _, owner in model)
        assert coming.total == counts.total()
        assert {owner: coming.of(owner) for owner in "ab"} == {owner: counts[owner] for owner in "ab"}
