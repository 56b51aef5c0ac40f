"""A sample of what `./sluice bench fuzz` feeds: the corpus, what once broke something, and some changes of both."""

import pytest

from tests.fuzz.mutation import inputs
from tests.fuzz.targets import TARGETS, corpus_of

SEED, INPUTS = 19, 300


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_comes_is_taken_or_refused(name: str) -> None:
    target = TARGETS[name]
    for data in inputs(corpus_of(name), SEED, int(INPUTS * target.share)):
        target.feed(data)


def test_a_seed_gives_the_same_inputs_again() -> None:
    corpus = corpus_of("bodies")
    assert list(inputs(corpus, 7, 50)) == list(inputs(corpus, 7, 50)) != list(inputs(corpus, 8, 50))
