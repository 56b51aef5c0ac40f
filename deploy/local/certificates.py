"""A private CA for the brokers' TLS (RFC 5280), and what it signs; all in PEM."""

import ipaddress
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.local.home import write_private

BROKER = "sluice-broker"
ADMIN = "sluice-admin"
"""Common names; brokers and administrators are ``super.users``."""
CA_DAYS = 3_650
DAYS = 825
_EARLIER = timedelta(minutes=5)
"""Clocks differ."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key (PKCS #8, not encrypted)."""

    certificate: str
    key: str = field(repr=False)


class Authority:
    """A CA that lives as long as this object: its key is written nowhere, so that nobody can sign with it later."""

    def __init__(self, name: str = "Sluice") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} CA")])
        builder = (
            _builder(self._name, self._name, self._key.public_key(), CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
        )
        self._certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def certificate(self) -> str:
        """For everybody who verifies."""
        return _pem(self._certificate)

    def issue(self, common_name: str, hosts: Collection[str] = ()) -> Issued:
        """A certificate for both ends of a connection.

        Args:
            common_name: the principal's, as Kafka knows it: ``User:CN=<common name>``.
            hosts: names and addresses under which a broker is reached.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])]
        builder = (
            _builder(subject, self._name, key.public_key(), DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False
            )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Issued(_pem(builder.sign(self._key, hashes.SHA256())), private.decode())


def one_line(pem: str) -> str:
    """The same in one line: Kafka reads it so, and so do we (`libs.bus.tls.pem`)."""
    return " ".join(pem.split("\n")).strip()


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def write(folder: Path, hosts: Collection[str]) -> None:
    """Writes ``ca.pem``, and of brokers and administrator a certificate and a key each.

    Raises:
        FileExistsError: the folder is there: what is in use is not overwritten.
    """
    authority = Authority()
    folder.mkdir(mode=0o700, parents=True)
    (folder / "ca.pem").write_text(authority.certificate)
    for name, issued in (("broker", authority.issue(BROKER, hosts)), ("admin", authority.issue(ADMIN))):
        (folder / f"{name}.pem").write_text(issued.certificate)
        write_private(folder / f"{name}.key", issued.key)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("python -m deploy.local.certificates FOLDER HOST...: FOLDER is made, HOSTs are the brokers'")
    try:
        write(Path(sys.argv[1]), sys.argv[2:])
    except FileExistsError as error:
        sys.exit(f"{error.filename} is there already")
