"""Words are texts, also where they are keys and where they are written."""

import copy
import json
import pickle

import pytest
from pydantic import TypeAdapter

from contracts.requests import Surface
from contracts.word import Word

WORDS = [word for kind in Word.__subclasses__() for word in kind]


@pytest.mark.parametrize("word", WORDS, ids=repr)
def test_a_word_is_its_text(word: Word) -> None:
    text = str(word)
    assert (word, word.value, hash(word), f"{word}") == (text, text, hash(text), text)
    by_word: dict[str, int] = {word: 1}
    assert {text: 1}[word] == by_word[text] == 1
    assert type(word)(text) is word
    assert json.loads(json.dumps(word)) == text
    assert pickle.loads(pickle.dumps(word)) is copy.deepcopy(word) is word


def test_pydantic_writes_and_reads_it() -> None:
    adapter = TypeAdapter(Surface)
    for word in Surface:
        assert adapter.validate_json(adapter.dump_json(word)) is word
