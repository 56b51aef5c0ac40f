"""Addresses that a configuration names. Pure."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def web_address(value: str) -> str:
    """The address itself. Raises ValueError where nobody could be called there, or where it holds a password."""
    problem = ValueError("must be https://host/path, without blanks, a user name or a password in it")
    if not value.isascii() or any(character.isspace() for character in value):
        raise problem
    try:
        parts = urlsplit(value)
        known = parts.scheme in ("https", "http") and parts.hostname and parts.port != 0
    except ValueError:
        raise problem from None
    if not known or parts.username is not None or parts.password is not None:
        raise problem
    return value


def _base_address(value: str) -> str:
    if "?" in value or "#" in value:
        raise ValueError("must end before `?` and `#`: paths are appended to it")
    return web_address(value)


WebAddress = Annotated[str, AfterValidator(web_address)]
BaseAddress = Annotated[str, AfterValidator(_base_address)]
"""An address to which paths are appended."""
