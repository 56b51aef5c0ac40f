"""Ports of a stack: each is given once, before anybody listens on it."""

import socket

from deploy.local.ports import LOOPBACK, free_port


def test_no_port_is_given_twice() -> None:
    """Two services of one stack had the same once, and one of them died for as long as the other lived."""
    given = [free_port() for _ in range(3_000)]
    assert len(set(given)) == len(given)


def test_a_port_that_is_taken_is_not_given() -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, free_port()))
        number = taken.getsockname()[1]
        assert number not in {free_port() for _ in range(14_000)}
