"""What a process is given by a supervisor that starts its successor before it has ended.

Both are file descriptors, named in the environment: listening sockets that outlive the process, so that no connection
is refused while one ends and the next begins; and the writing end of a pipe, which is closed when the process begins to
drain, or dies.
"""

import os
import socket
from collections.abc import Mapping

SOCKETS = "SLUICE_LISTEN_FDS"
"""``NAME=FD``, separated by commas."""
DRAINING = "SLUICE_DRAINING_FD"


def named(sockets: Mapping[str, int]) -> str:
    """The value of `SOCKETS`."""
    return ",".join(f"{name}={fd}" for name, fd in sockets.items())


def inherited(name: str, environment: Mapping[str, str] = os.environ) -> socket.socket | None:
    """The listening socket of this name, if there is one. Take it once."""
    for entry in environment.get(SOCKETS, "").split(","):
        known, _, fd = entry.partition("=")
        if known == name:
            return socket.socket(fileno=int(fd))
    return None


def announce_draining(environment: Mapping[str, str] = os.environ) -> None:
    """Has a supervisor start the successor."""
    fd = environment.get(DRAINING)
    if fd:
        os.close(int(fd))
