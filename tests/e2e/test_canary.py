"""Distinctive keys and prompts through every path, then a search of everything that the run left behind.

A provider key may be in the clear nowhere; a prompt on ``gateway.prompts`` alone.
"""

import base64
import gzip
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts import topics
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.stack import SERVICES
from libs.bus.reading import read_to_end
from libs.runtime.server import HttpServer
from tests.e2e.plane import Plane
from tests.stacks import WRONG_KEY, chat, running_stack, until

OWN_KEYS = ("sk-stub-canary+own/key=1234567890", "sk-canary+refused/key=0987654321")
PROMPT = "canary-prompt: what only the provider may read"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def spans() -> AsyncIterator[tuple[str, list[bytes]]]:
    """An OTLP endpoint, and what was exported to it."""
    bodies: list[bytes] = []

    async def take(request: Request) -> Response:
        body = await request.body()
        bodies.append(gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body)
        return Response(b"", media_type="application/x-protobuf")

    port = free_port()
    server = HttpServer(Starlette(routes=[Route("/v1/traces", take, methods=["POST"])]), LOOPBACK, port)
    await server.start()
    yield f"http://{LOOPBACK}:{port}", bodies
    await server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def planted(
    kafka: str, tmp_path_factory: pytest.TempPathFactory, spans: tuple[str, list[bytes]]
) -> AsyncIterator[tuple[Plane, Path, list[str]]]:
    """A stack through which keys and prompts went, on every path that we know of; every request is traced."""
    folder = tmp_path_factory.mktemp("canary")
    traced = {"SLUICE_TELEMETRY__SAMPLE_RATIO": "1"}
    async with running_stack(folder, kafka, environment=traced, otlp_endpoint=spans[0]) as gateway:
        plane, answers = Plane(gateway, 1), list[str]()
        people = [await plane.person() for _ in OWN_KEYS]
        for person, key in zip(people, OWN_KEYS, strict=True):
            path = f"/api/accounts/{person.account_id}/provider-keys"
            answers.append(str(await plane.call("PUT", f"{path}/stub", {"key": key}, key=person.key)))
            wrong = await plane.call("PUT", f"{path}/nobody", {"key": key}, key=person.key, status=400)
            bad = await plane.call("PUT", f"{path}/stub", {"key": key + "\nx"}, key=person.key, status=400)
            extra = await plane.call("PUT", f"{path}/stub", {"key": key, "more": key}, key=person.key, status=400)
            answers += [str(wrong), str(bad), str(extra)]

            async def listed(path: str = path, caller: str = person.key) -> str | None:
                rows = await plane.call("GET", path, key=caller)
                return str(rows) if rows else None

            answers.append(await until(listed, what="the stored key"))
        knobs = ("", "[[stub error=500]]", "[[stub error=401]]", "[[stub cut_after=0]]", "[[stub garbage=1]]")
        streams = ("[[stub chunks=5 cut_after=2]]", "[[stub chunks=5 fail_after=2]]")
        for caller in (gateway.key, *(person.key for person in people)):
            for text in (*knobs, *streams):
                for stream in (False, True):
                    response = await plane.ask(caller, f"{PROMPT} {text}", stream=stream)
                    answers.append(response.text + str(response.headers))
            for model in ("refusing/echo", "absent/echo", "keyless/echo", "no/such"):
                answers.append((await gateway.post(chat(PROMPT, model=model), Authorization=f"Bearer {caller}")).text)
        answers.append((await gateway.post(chat(PROMPT), Authorization="Bearer nonsense")).text)
        kept = {"model": "stub/echo", "input": PROMPT, "store": True}
        bearer = {"Authorization": f"Bearer {gateway.key}"}
        stored = await gateway.http.post(f"{gateway.base_url}/responses", json=kept, headers=bearer)
        assert stored.json()["id"].startswith("resp_sluice_")
        yield plane, folder, answers


def _forms(secret: str) -> Iterator[bytes]:
    raw = secret.encode()
    yield raw
    yield raw.hex().encode()
    yield urllib.parse.quote(secret, safe="").encode()
    for shift in range(3):
        # Base64 of text that holds the secret at any place: the part that does not depend on its neighbours.
        encoded = base64.b64encode(b"\0" * shift + raw)
        yield encoded[4 if shift else 0 : len(encoded) - 4]
        yield base64.urlsafe_b64encode(b"\0" * shift + raw)[4 if shift else 0 : len(encoded) - 4]


def _holds(data: bytes, secret: str) -> bool:
    return any(form in data for form in _forms(secret))


def test_the_search_finds_what_is_hidden() -> None:
    secret = OWN_KEYS[0]
    for data in (
        f"a{secret}b".encode(),
        base64.b64encode(f"x{secret}y".encode()),
        base64.b64encode(f"xx{secret}yy".encode()),
        f"xxx{secret}".encode().hex().encode(),
        urllib.parse.quote(secret, safe="").encode(),
    ):
        assert _holds(data, secret)
    assert not _holds(b"nothing here", secret)


def _secrets(plane: Plane) -> list[str]:
    """Providers' keys."""
    return [*OWN_KEYS, WRONG_KEY, plane.gateway.stack.stub_key()]


def _callers(plane: Plane) -> list[str]:
    """An API key that asked for everything, and the operator's token."""
    return [plane.gateway.key, plane.gateway.stack.operator_token()]


async def test_no_topic_holds_a_key_and_one_holds_prompts(planted: tuple[Plane, Path, list[str]]) -> None:
    plane, _folder, _answers = planted
    searched = prompts = 0
    for topic in topics.TOPICS:
        for dead_letters in (False, True):
            async for raw in read_to_end(plane.gateway.stack.bus, topic, dead_letters=dead_letters):
                data = (raw.key or b"") + (raw.value or b"") + repr(raw.headers).encode()
                searched += 1
                for secret in (*_secrets(plane), *_callers(plane)):
                    assert not _holds(data, secret), f"a key is on {topic.name}"
                if topic is topics.PROMPTS:
                    prompts += PROMPT.encode() in data
                else:
                    assert not _holds(data, PROMPT), f"a prompt is on {topic.name}"
    assert searched > 300
    assert prompts > 30


async def test_no_table_holds_a_key_or_a_prompt(planted: tuple[Plane, Path, list[str]]) -> None:
    plane, _folder, _answers = planted
    admin = await asyncpg.connect(plane.gateway.stack.postgres.admin_url())
    try:
        tables = await admin.fetch(
            "select schemaname, tablename from pg_tables where schemaname in ('control', 'vault', 'ledger')"
        )
        assert {"credentials", "entries", "audit", "outbox"} <= {row["tablename"] for row in tables}
        for schema, table in tables:
            for row in await admin.fetch(f"select t::text from {schema}.{table} t"):
                for secret in (*_secrets(plane), *_callers(plane), PROMPT):
                    assert not _holds(row[0].encode(), secret), f"found in {schema}.{table}"
        stored = await admin.fetchval("select count(*) from vault.credentials where ciphertext is not null")
        assert stored == len(OWN_KEYS)
    finally:
        await admin.close()


def test_no_log_holds_a_key_or_a_prompt(planted: tuple[Plane, Path, list[str]]) -> None:
    plane, folder, _answers = planted
    logs = list((folder / "logs").glob("*.log"))
    assert len(logs) > 8
    for log in logs:
        data = log.read_bytes()
        for secret in (*_secrets(plane), *_callers(plane), PROMPT):
            assert not _holds(data, secret), f"found in {log.name}"


def test_no_file_holds_a_key_but_the_one_of_secrets(planted: tuple[Plane, Path, list[str]]) -> None:
    """The broker's and PostgreSQL's own among them, write-ahead logs and dead tuples included."""
    plane, folder, _answers = planted
    secrets_file, searched = plane.gateway.stack.secrets_file, 0
    for file in folder.rglob("*"):
        if not file.is_file() or file == secrets_file or file.suffix in (".index", ".timeindex"):
            continue
        data = file.read_bytes()
        searched += 1
        for secret in (*OWN_KEYS, *_callers(plane)):
            assert not _holds(data, secret), f"found in {file.relative_to(folder)}"
    assert searched > 1_000


async def test_no_span_holds_a_key_or_a_prompt(
    planted: tuple[Plane, Path, list[str]], spans: tuple[str, list[bytes]]
) -> None:
    plane, _folder, _answers = planted
    names = [f"sluice-{service}".encode() for service in SERVICES if service != "console"]

    async def everybody() -> bool | None:
        return all(any(name in body for body in spans[1]) for name in names) or None

    await until(everybody, what="spans of every service")
    for body in spans[1]:
        for secret in (*_secrets(plane), *_callers(plane), PROMPT):
            assert not _holds(body, secret), "found in a span"


def test_no_answer_holds_a_key(planted: tuple[Plane, Path, list[str]]) -> None:
    plane, _folder, answers = planted
    for answer in answers:
        for secret in _secrets(plane):
            assert not _holds(answer.encode(), secret)
