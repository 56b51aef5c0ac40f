"""Stacks for tests: real broker, real PostgreSQL, all services, the stub provider."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx

from contracts.clock import now_ms
from deploy.local.home import Home
from deploy.local.options import StackOptions
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.stack import Stack
from libs.config.gateway import load_config
from libs.sealing.hybrid import KeyPair
from services.cli.client import ManagementClient

T = TypeVar("T")
CONFIG = Path(__file__).with_name("stack.yaml")
WRONG_KEY = "sk-test-the-wrong-key"
CONTENTS_KEY = KeyPair.generate()
"""To which the relays of a run seal what organizations keep."""
STRIPE_SECRET = "whsec_test_only"
TURNS = frozenset({"serving", "assigned", "draining", "stopped"})
LOG_FOLDERS: list[Path] = []
"""Of the stacks that run now, the newest last."""


class NotYet(str):
    """What was seen instead of what `until` waits for."""


@dataclass
class Gateway:
    """A running stack as a test uses it."""

    stack: Stack
    key: str
    account_id: str
    http: httpx.AsyncClient
    database: "asyncpg.Connection[Any]"
    started_ms: int
    issuer: str
    """Of single sign-on; a test that wants it to answer starts it."""

    @property
    def base_url(self) -> str:
        """For SDKs."""
        return self.stack.base_url

    async def post(self, body: Any, **headers: str) -> httpx.Response:
        """A chat completion, with the account's key unless an Authorization header is given."""
        return await self.http.post(
            f"{self.base_url}/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {self.key}"} | headers,
        )

    async def entry(self, request_id: str) -> dict[str, Any]:
        """The ledger entry of a request, once it is there."""

        async def found() -> dict[str, Any] | None:
            row = await self.database.fetchrow("select * from ledger.usage where request_id = $1", request_id)
            return dict(row) if row else None

        return await until(found, what=f"a ledger entry of {request_id}")

    async def stub_stats(self) -> dict[str, int]:
        """What the stub provider counted."""
        stats: dict[str, int] = (await self.http.get(f"{self.stack.stub_url}/stub/stats")).json()
        return stats

    async def metrics(self, service: str) -> str:
        """What a service's process says of itself."""
        port = self.stack.state().services[service].health_port
        return (await self.http.get(f"http://{LOOPBACK}:{port}/metrics")).text

    async def manage(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """A call of the management API."""
        console = ManagementClient(self.stack.console_url, self.stack.operator_token())
        return await asyncio.to_thread(console.call, method, path, body)


async def until(ask: Callable[[], Awaitable[T | NotYet | None]], *, what: str, within_s: float = 40.0) -> T:
    """The first answer that is neither None nor `NotYet`.

    Raises:
        TimeoutError: there is none in time; ``what`` was waited for.
    """
    deadline = time.monotonic() + within_s
    answer: T | NotYet | None = None
    while time.monotonic() < deadline:
        answer = await ask()
        if answer is not None and not isinstance(answer, NotYet):
            return answer
        await asyncio.sleep(0.05)
    raise TimeoutError(f"no {what} within {within_s} s" + (f"; the last answer: {answer}" if answer else ""))


def logged_since(started_s: float, *, lines: int = 60) -> str:
    """What the services of the newest stack logged since then, in the order of time, but for what only informs.

    Args:
        started_s: seconds since 1970.
    """
    since = datetime.fromtimestamp(started_s, UTC).isoformat()
    entries: list[tuple[str, str]] = []
    for file in LOG_FOLDERS[-1].glob("*.log") if LOG_FOLDERS else ():
        for line in file.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                if entry["timestamp"] >= since and (entry["level"] != "info" or entry["event"] in TURNS):
                    entries.append((entry["timestamp"], line[:300]))
    return "\n".join(line for _at, line in sorted(entries)[-lines:])


def chat(text: str, *, model: str = "stub/echo", **more: Any) -> dict[str, Any]:
    """The body of a chat completion."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


@asynccontextmanager
async def running_stack(folder: Path, kafka: str, **options: Any) -> AsyncIterator[Gateway]:
    """A stack in ``folder``, with an account and a key. Every provider is the stub, but for ``absent``."""
    environment: dict[str, str] = {"TEST_WRONG_KEY": WRONG_KEY} | options.pop("environment", {})
    config = options.pop("config", CONFIG)
    environment.setdefault("SLUICE_CONTENTS__PUBLIC_KEY", CONTENTS_KEY.public)
    issuer = f"http://localhost:{free_port()}"
    environment |= {
        "SLUICE_CONSOLE_STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
        "SLUICE_CONSOLE_OIDC_ISSUER": issuer,
        "SLUICE_CONSOLE_OIDC_CLIENT_ID": "sluice",
        "SLUICE_CONSOLE_OIDC_CLIENT_SECRET": "test-only",
        "SLUICE_CONSOLE_OIDC_DOMAINS": "sluice.example",
    }
    home = Home(folder)
    stack = Stack(
        home,
        StackOptions(
            config=config,
            stub=True,
            kafka=kafka,
            port=free_port(),
            environment=environment,
            **options,
        ),
        lambda _text: None,
    )
    nobody = socket.socket()
    # Held, so that no server of another stack begins to listen there; who does not listen refuses connections.
    nobody.bind((LOOPBACK, free_port()))
    for provider_id, provider in load_config(config).providers.items():
        where = f"http://{LOOPBACK}:{nobody.getsockname()[1]}" if provider_id == "absent" else stack.stub_url
        url = f"{where}/as/{provider_id}/v1"
        if provider.platform == "vertex":
            url += "/projects/{project}"
            environment.setdefault(f"SLUICE_PROVIDERS__{provider_id.upper()}__TOKEN_URL", f"{where}/token")
        environment.setdefault(f"SLUICE_PROVIDERS__{provider_id.upper()}__BASE_URL", url)
    started_ms = now_ms()
    LOG_FOLDERS.append(home.logs)
    await stack.start()
    try:
        console = ManagementClient(stack.console_url, stack.operator_token())
        account = await asyncio.to_thread(console.call, "POST", "/api/accounts", {"email": "test@example.com"})
        key = await asyncio.to_thread(console.call, "POST", f"/api/accounts/{account['id']}/keys", {})
        database = await asyncpg.connect(stack.postgres.admin_url())
        limits = httpx.Limits(max_connections=500)
        async with httpx.AsyncClient(timeout=60, limits=limits, trust_env=False) as http:
            yield Gateway(stack, key["key"], account["id"], http, database, started_ms, issuer)
        await database.close()
    finally:
        await stack.stop()
        nobody.close()
        LOG_FOLDERS.remove(home.logs)
