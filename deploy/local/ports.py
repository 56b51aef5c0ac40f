"""TCP ports on loopback."""

import asyncio
import socket

from deploy.local.errors import StackError

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


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
