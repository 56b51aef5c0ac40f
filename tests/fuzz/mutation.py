"""Inputs that are nearly right: those of a corpus, changed here and there. Pure; a seed gives the same ones again."""

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

PIECES = (
    *(b"\0", b"\r\n", b"\n\n", b"\r", b" ", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", "é".encode(), "😀".encode()),
    *(b'"', b"\\", b'\\"', b"\\u0000", b"\\ud800", b"\\udc00\\ud800", b"{", b"}", b"[", b"]", b"{}", b"[]", b",", b":"),
    *(b"null", b"true", b"-1", b"0", b"1e999", b"1e400", b"-0.0", b"NaN", b"9" * 25, b"0.1", b'""', b"Infinity"),
    *(b"[" * 150, b"[" * 2_000, b'{"a":' * 150, b"A" * 300, b"data: ", b"event: ", b": ", b"[DONE]", b"--", b".", b"="),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**31, 2**63, 10**25, 0.5, 1e300, "", "x", "\0", "\ud800", "é" * 50, "x" * 5_000),
    *([], {}, [[]], [{}], [None], {"": {}}, {"x": None}, [1, "a", {}], ["x"] * 300),
)
MOST_CHANGES = 4


def inputs(corpus: Sequence[bytes], seed: int, count: int) -> Iterator[bytes]:
    """The corpus itself, then so many changed ones."""
    yield from corpus
    chance = random.Random(seed)
    for _ in range(count):
        yield changed(corpus, chance)


def changed(corpus: Sequence[bytes], chance: random.Random) -> bytes:
    """One of the corpus with a few changes: of its bytes, or of the values of its JSON."""
    chosen = chance.choice(corpus)
    if chosen[:1] in b"{[" and chance.random() < 0.6:
        return _changed_values(chosen, chance)
    if b"data: {" in chosen and chance.random() < 0.6:
        return _changed_event(chosen, chance)
    data = bytearray(chosen)
    for _ in range(chance.randint(1, MOST_CHANGES)):
        _change(data, corpus, chance)
    return bytes(data)


def _change(data: bytearray, corpus: Sequence[bytes], chance: random.Random) -> None:
    begin = chance.randrange(len(data) + 1)
    end = min(len(data), begin + chance.choice((1, 1, 2, 4, 16, 64)))
    match chance.randrange(7):
        case 0:
            del data[begin:end]
        case 1:
            data[begin:begin] = chance.choice(PIECES)
        case 2:
            data[begin:end] = chance.choice(PIECES)
        case 3:
            data[begin:begin] = data[begin:end] * chance.choice((1, 2, 50))
        case 4:
            other = chance.choice(corpus)
            at = chance.randrange(len(other) + 1)
            data[begin:end] = other[at : at + chance.choice((4, 32, 200))]
        case 5:
            del data[begin:]
        case _ if begin < len(data):
            data[begin] ^= 1 << chance.randrange(8)


def _changed_event(stream: bytes, chance: random.Random) -> bytes:
    """A stream in which the JSON of one event is another."""
    lines = stream.split(b"\n")
    at = chance.choice([number for number, line in enumerate(lines) if line.startswith(b"data: {")])
    lines[at] = b"data: " + _changed_values(lines[at].removeprefix(b"data: "), chance)
    return b"\n".join(lines)


def _changed_values(text: bytes, chance: random.Random) -> bytes:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    for _ in range(chance.randint(1, MOST_CHANGES)):
        value = _changed_value(value, chance)
    return json.dumps(value, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")


def _changed_value(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict | list) and value and chance.random() < 0.85:
        copy = value.copy()
        name = chance.choice(list(copy)) if isinstance(copy, dict) else chance.randrange(len(copy))
        if chance.random() < 0.1:
            del copy[name]
        else:
            copy[name] = _changed_value(copy[name], chance)
        return copy
    return chance.choice(VALUES)
