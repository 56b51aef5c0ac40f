"""The folder where a stack on one machine keeps its data, logs, secrets and the state of its run."""

import base64
import contextlib
import json
import os
import secrets
import shutil
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from deploy.local.errors import StackError

ROOT = Path(__file__).resolve().parents[2]
LEAST_FREE_BYTES = 300 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A process of a running stack."""

    pid: int
    health_port: int | None = None


@dataclass(frozen=True, slots=True)
class StackState:
    """What `sluice status` and the other commands know of a running stack."""

    pid: int
    base_url: str
    console_url: str
    broker: str
    kafka: str
    kafka_partitions: int
    database: str
    services: dict[str, ServiceState]
    postgres_port: int | None = None
    rolls: int = 0
    """How often all services were restarted, one after the other."""

    @classmethod
    def read(cls, text: str) -> "StackState":
        """What `Home.save` wrote. Raises ValueError where another version did."""
        try:
            known = json.loads(text)
            services = {name: ServiceState(**service) for name, service in known.pop("services").items()}
            return cls(**known, services=services)
        except (TypeError, KeyError, AttributeError):
            raise ValueError("this is no state of a stack") from None


class Home:
    """One stack's folder. ``secrets.json`` and ``state.json`` are readable by their owner alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing = threading.Lock()

    def prepare(self) -> None:
        """Makes the folders.

        Raises:
            StackError: the disk is full, or the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            free = shutil.disk_usage(self.path).free
        except OSError as error:
            raise StackError(f"cannot write {self.path}: {error.strerror}") from None
        if free < LEAST_FREE_BYTES:
            raise StackError(
                f"the disk of {self.path} has {free // 2**20} MiB left; Sluice needs {LEAST_FREE_BYTES // 2**20} MiB"
            )

    @property
    def logs(self) -> Path:
        """One file a process."""
        return self.path / "logs"

    def secret(self, name: str, *, encoded_bytes: int = 32) -> str:
        """A random secret that stays the same from run to run; base64, URL-safe."""
        with self._writing:
            known = self._secrets()
            if name not in known:
                known[name] = base64.urlsafe_b64encode(secrets.token_bytes(encoded_bytes)).decode()
                write_private(self.path / "secrets.json", json.dumps(known, indent=1))
            return known[name]

    def forget_secret(self, name: str) -> None:
        """Destroys a secret."""
        with self._writing:
            known = self._secrets()
            known.pop(name, None)
            write_private(self.path / "secrets.json", json.dumps(known, indent=1))

    def key_encryption_keys(self, service: str) -> str:
        """A service's own, as `LocalKeys.parse` reads them: the newest first."""
        versions = [f"{name.rpartition('-')[2]}:{_standard(value)}" for name, value in self._versions(service)]
        if not versions:
            self.new_key_encryption_key(service)
            return self.key_encryption_keys(service)
        return ",".join(versions)

    def new_key_encryption_key(self, service: str) -> str:
        """Adds a version, which wraps from the service's next start on; returns its name."""
        newest = max((int(name.rpartition("-v")[2]) for name, _ in self._versions(service)), default=0)
        version = f"v{newest + 1}"
        self.secret(f"key-encryption-key-{service}-{version}")
        return version

    def _versions(self, service: str) -> list[tuple[str, str]]:
        prefix = f"key-encryption-key-{service}-v"
        return [(name, value) for name, value in reversed(self._secrets().items()) if name.startswith(prefix)]

    def record_key(self, service: str) -> str:
        """The private key with which a service signs its records, as `SigningSettings` reads it."""
        return _standard(self.secret(f"record-key-{service}"))

    def new_record_key(self, service: str) -> None:
        """Draws the next key; it is trusted at once, and signs after `sign_with_next`."""
        self.secret(f"next-record-key-{service}")

    def sign_with_next(self, service: str) -> None:
        """Puts the next signing key in the place of the present one, which is trusted until it is forgotten."""
        with self._writing:
            known = self._secrets()
            known[f"former-record-key-{service}"] = known[f"record-key-{service}"]
            known[f"record-key-{service}"] = known.pop(f"next-record-key-{service}")
            write_private(self.path / "secrets.json", json.dumps(known, indent=1))

    def trusted_keys(self, service: str) -> str:
        """The public keys of a service that signs: of the present key, of the next and the former where there are."""
        from libs.bus.signing import Signer  # With Kafka's client and cryptography, which most commands do without.

        self.record_key(service)
        names = [f"{age}record-key-{service}" for age in ("", "next-", "former-")]
        private = [
            base64.urlsafe_b64decode(known[name]) for known in (self._secrets(),) for name in names if name in known
        ]
        return ",".join(base64.b64encode(Signer(key).public_key).decode() for key in private)

    def _secrets(self) -> dict[str, str]:
        file = self.path / "secrets.json"
        known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        return known

    def save(self, state: StackState) -> None:
        """Writes the state of this run for other commands."""
        write_private(self.path / "state.json", json.dumps(asdict(state), indent=1))

    def forget(self) -> None:
        """Removes what is about one run: its state, and which services are debugged."""
        # A state that stays is known to be old by its process ID.
        for file in (self.path / "state.json", *self.path.glob("*.debugged")):
            with contextlib.suppress(OSError):
                file.unlink()

    def debug(self, service: str) -> None:
        """Leaves a service to the calling process: until that ends, the supervisor does not start it."""
        write_private(self.path / f"{service}.debugged", str(os.getpid()))

    def debugged(self, service: str) -> bool:
        """Is there a process that debugs this service? Forgets one that has ended: its ID may be given to another."""
        mark = self.path / f"{service}.debugged"
        try:
            if psutil.pid_exists(int(mark.read_text())):
                return True
        except (OSError, ValueError):
            pass
        mark.unlink(missing_ok=True)
        return False

    def running(self) -> StackState | None:
        """The state of the run that goes on now, if one does."""
        file = self.path / "state.json"
        try:
            state = StackState.read(file.read_text())
        except (OSError, ValueError):
            return None
        return state if _is_ours(state.pid) else None


def default_homes() -> tuple[Home, Home]:
    """Where `up` and `demo` live, in this order."""
    base = Path(os.environ.get("SLUICE_HOME") or ROOT / ".sluice")
    return Home(base / "up"), Home(base / "demo")


def _is_ours(pid: int) -> bool:
    try:
        return any("services.cli" in part or "pytest" in part for part in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


def _standard(urlsafe: str) -> str:
    return base64.b64encode(base64.urlsafe_b64decode(urlsafe)).decode()


def write_private(file: Path, text: str) -> None:
    """Replaces a file by one that only its owner can read."""
    temporary = file.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    temporary.replace(file)


Environment = dict[str, str]


def plain_environment(**more: Any) -> Environment:
    """The environment of every child: no provider key, and no secret of ours unless it is passed."""
    names = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SSL_CERT_FILE", "JAVA_HOME")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    kept |= {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | {k: str(v) for k, v in more.items()}
