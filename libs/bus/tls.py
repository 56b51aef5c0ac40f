"""TLS to the brokers: a private CA, and certificates in PEM, as text or by path."""

import re
import ssl
import tempfile
from pathlib import Path
from typing import Any

import structlog

from libs.runtime.process import SettingsError

log = structlog.get_logger()

_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----([A-Za-z0-9+/=\s]+)-----END \1-----")


def context(ca: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """Verifies brokers, their names included; shows a certificate where one is given. Files are read again when they
    have changed, for the next connection.

    Args:
        ca: whose brokers are believed; None: those of the system's CAs.
        certificate: of this client, with ``key``; None: it has none.

    Raises:
        SettingsError: something of it is no PEM; the message quotes nothing.
    """
    files = [Path(given) for given in (ca, certificate, key) if given and "-----BEGIN" not in given]
    if not files:
        return _context(ca, certificate, key)
    return _FromFiles(ca, certificate, key, files)


def _context(ca: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    try:
        found = ssl.create_default_context(cadata=pem("SLUICE_KAFKA_SSL_CA", ca) if ca else None)
        found.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate and key:
            both = pem("SLUICE_KAFKA_SSL_CERTIFICATE", certificate) + pem("SLUICE_KAFKA_SSL_KEY", key)
            # Python's ssl reads private keys from files only: here one that its owner alone can read, and not for long.
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(both)
                file.flush()
                found.load_cert_chain(file.name)
    except ssl.SSLError as error:
        raise SettingsError(f"SLUICE_KAFKA_SSL_*: {error.reason}") from None
    return found


class _FromFiles(ssl.SSLContext):
    """A context whose connections are made by another: the newest that could be made of the files."""

    def __new__(cls, *_: Any) -> "_FromFiles":
        """OpenSSL's part; it is not used."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, ca: str | None, certificate: str | None, key: str | None, files: list[Path]) -> None:
        self._given = ca, certificate, key
        self._files = files
        self._seen = self._state()
        self._newest = _context(*self._given)

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """Called by asyncio for each connection."""
        state = self._state()
        if state != self._seen:
            try:
                self._newest, self._seen = _context(*self._given), state
            except SettingsError as error:
                # Half written, or wrong: what was read before holds meanwhile.
                log.error("certificates not read again", reason=str(error))
        return self._newest.wrap_bio(*arguments, **named)

    def _state(self) -> list[tuple[int, int, int]]:
        found = []
        for file in self._files:
            try:
                about = file.stat()
            except (OSError, ValueError):
                found.append((0, 0, 0))
                continue
            found.append((about.st_ino, about.st_mtime_ns, about.st_size))
        return found


def pem(name: str, given: str) -> str:
    """PEM with its lines, from text that may have blanks in their place, or from the file that the text names.

    Raises:
        SettingsError: there is no such file, or it is no PEM.
    """
    text = given
    if "-----BEGIN" not in given:
        try:
            text = Path(given).read_text()
        except (OSError, ValueError):
            raise SettingsError(f"{name} is neither PEM nor a file that can be read") from None
    blocks = []
    for kind, content in _BLOCK.findall(text):
        body = "".join(content.split())
        lines = [body[start : start + 64] for start in range(0, len(body), 64)]
        blocks.append("\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""]))
    if not blocks:
        raise SettingsError(f"{name} is no PEM")
    return "".join(blocks)
