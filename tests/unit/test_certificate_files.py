"""Certificates by their paths: what has changed is read for the next connection."""

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.certificates import Authority, Issued
from deploy.local.ports import LOOPBACK
from libs.bus import tls

TRUE, FALSE = Authority("true"), Authority("false")


def _serving(issued: Issued) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(issued.certificate + issued.key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    """Where a server has a certificate of the true CA."""
    served = _serving(TRUE.issue("server", [LOOPBACK]))
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), LOOPBACK, 0, ssl=served)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def _believed(port: int, context: ssl.SSLContext) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port, ssl=context)
    except ssl.SSLCertVerificationError:
        return False
    writer.close()
    return True


async def test_a_ca_that_was_replaced_is_believed_by_the_next_connection(port: int, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(FALSE.certificate)
    context = tls.context(str(file), None, None)
    assert not await _believed(port, context)
    file.write_text(TRUE.certificate + FALSE.certificate)
    assert await _believed(port, context)


@pytest.mark.parametrize("broken", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"])
async def test_a_file_that_cannot_be_read_changes_nothing(port: int, tmp_path: Path, broken: str) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(TRUE.certificate)
    context = tls.context(str(file), None, None)
    file.write_text(broken)
    assert await _believed(port, context)
    file.unlink()
    assert await _believed(port, context)
    file.write_text(FALSE.certificate)
    assert not await _believed(port, context)
