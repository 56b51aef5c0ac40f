"""JSON of clients, providers and models, without a loss: whole numbers have any size. Pure.

orjson alone makes floats of what is beyond 64 bits when it reads, and refuses it when it writes.
"""

from typing import Any

import orjson
from pydantic_core import from_json, to_json


def decode(data: bytes | str) -> Any:
    """The value. Raises ValueError."""
    return from_json(data, allow_inf_nan=False)


def encode(value: Any) -> str:
    """The text; numbers that JSON does not have are ``null``."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return to_json(value, inf_nan_mode="null").decode()
