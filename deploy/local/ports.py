"""TCP ports on loopback."""

import asyncio
import contextlib
import itertools
import secrets
import socket
from collections.abc import Iterator

from deploy.local.errors import StackError

LOOPBACK = "127.0.0.1"
_LISTENING = range(18_000, 32_000)
_begin = secrets.randbelow(len(_LISTENING))
_candidates: Iterator[int] = itertools.cycle([*_LISTENING[_begin:], *_LISTENING[:_begin]])


def free_port() -> int:
    """A port that nobody listens on now. It is given once, and to no outgoing connection before it is used.

    Systems take the local ports of connections from 32768 (Linux) or 49152 (IANA) on.

    Raises:
        StackError: there is none left.
    """
    for _ in _LISTENING:
        port = next(_candidates)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise StackError(f"no port from {_LISTENING.start} to {_LISTENING.stop} is free")


def check_free(port: int, option: str) -> None:
    """Raises StackError where the port is taken; ``option`` is how to choose another."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise StackError(f"port {port} cannot be used ({error.strerror}); choose another with {option}") from None


async def wait_until_open(port: int, *, within_s: float, what: str) -> None:
    """Returns once something listens.

    Raises:
        StackError: nothing does in time.
    """
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, port)
        except OSError:
            if asyncio.get_running_loop().time() > deadline:
                raise StackError(f"{what} did not begin to listen within {within_s:.0f} s") from None
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return
