"""JSON of clients, providers and models: whole numbers have any size, and characters may come in halves. Pure.

What is read is ``Any`` here alone: readers give it the shape of their protocol (`libs.chat.shapes`).

orjson alone reads whole numbers beyond 64 bits as floats and refuses to write them; halves of characters it refuses.
"""

import json
from typing import Any

import orjson
from pydantic_core import from_json, to_json

from libs.chat.surrogates import SURROGATE, all_whole


def decode(data: bytes | str) -> Any:
    """The value; lone halves of characters are replaced. Raises ValueError."""
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError:
        return all_whole(_with_halves(data))


def decode_piece(data: str) -> Any:
    """The value, with the halves of characters as they are: the other one may come. Raises ValueError."""
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError:
        return _with_halves(data)


def encode(value: Any) -> str:
    """The text; lone halves of characters are replaced, and numbers that JSON does not have are ``null``."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return to_json(all_whole(value), inf_nan_mode="null").decode()


def _with_halves(data: bytes | str) -> Any:
    text = data if isinstance(data, str) else data.decode()
    # json.loads takes halves, but also NaN and any depth: what it gets is valid but for them.
    from_json(SURROGATE.sub(r"\\u0020", text), allow_inf_nan=False)
    return json.loads(text)
