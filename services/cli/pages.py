"""The pages of the services of this machine: ``/readyz``, ``/metrics``, ``/version``."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException

from deploy.local.home import StackState
from deploy.local.ports import LOOPBACK

WITHIN_S = 2.0


def pages(state: StackState, path: str) -> Mapping[str, bytes]:
    """A page of every service that has one; those that do not answer are left out."""
    ports = {name: service.health_port for name, service in state.services.items() if service.health_port}
    with ThreadPoolExecutor(max_workers=len(ports) or 1) as pool:
        answers = pool.map(lambda port: _get(port, path), ports.values())
        return {name: answer for name, answer in zip(ports, answers, strict=True) if answer is not None}


def _get(port: int, path: str) -> bytes | None:
    connection = HTTPConnection(LOOPBACK, port, timeout=WITHIN_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
