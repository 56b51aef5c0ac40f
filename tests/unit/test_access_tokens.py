"""Access tokens of service accounts, from a token service that counts who asks."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qs

import pytest
import pytest_asyncio

from libs.provider_keys.access_tokens import AccessTokens, NoTokenError, TokenRefusedError
from libs.provider_keys.assertion import GRANT_TYPE
from libs.provider_keys.documents import KeyFormError
from libs.sealing.secret import Secret
from tests.service_account import ACCOUNT

KEY = Secret(json.dumps(ACCOUNT))
TOKEN = {"access_token": "secret-7", "expires_in": 3_599}


@dataclass
class _Google:
    url: str = ""
    status: int = 200
    body: bytes = json.dumps(TOKEN).encode()
    asked: int = 0
    form: bytes = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.partition(b":")[2]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
        self.form = await reader.readexactly(length)
        self.asked += 1
        head = f"HTTP/1.1 {self.status} X\r\ncontent-length: {len(self.body)}\r\nconnection: close\r\n\r\n".encode()
        writer.write(head + self.body)
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture
async def google() -> AsyncIterator[_Google]:
    made = _Google()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
    async with server:
        yield made


async def test_one_fetch_is_for_all_who_ask_and_for_an_hour(google: _Google) -> None:
    tokens = AccessTokens(verify=False)
    found = await asyncio.gather(*(tokens.of(KEY, google.url) for _ in range(20)))
    assert {(one.token.reveal(), one.project) for one in found} == {("secret-7", "project-1")}
    await tokens.of(KEY, google.url)
    assert google.asked == 1
    assert parse_qs(google.form.decode())["grant_type"] == [GRANT_TYPE]
    assert "secret-7" not in repr(found[0])


async def test_who_leaves_does_not_take_the_token_from_the_others(google: _Google) -> None:
    tokens = AccessTokens(verify=False)
    first, second = (asyncio.create_task(tokens.of(KEY, google.url)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).token.reveal() == "secret-7"
    assert google.asked == 1


async def test_a_token_that_is_about_to_end_is_fetched_anew(google: _Google) -> None:
    google.body = json.dumps({**TOKEN, "expires_in": 60}).encode()
    tokens = AccessTokens(verify=False)
    for _ in range(2):
        await tokens.of(KEY, google.url)
    assert google.asked == 2


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"error": "invalid_grant"}', TokenRefusedError),
        (401, b"", TokenRefusedError),
        (503, b"", NoTokenError),
        (200, b"nonsense", NoTokenError),
        (200, b"[]", NoTokenError),
        (200, b'{"access_token": "a\\r\\nb", "expires_in": 9}', NoTokenError),
        (200, b'{"access_token": "t", "expires_in": "soon"}', NoTokenError),
        (200, b" " * 70_000, NoTokenError),
    ],
)
async def test_what_is_no_token(google: _Google, status: int, body: bytes, error: type[Exception]) -> None:
    google.status, google.body = status, body
    with pytest.raises(error):
        await AccessTokens(verify=False).of(KEY, google.url)


async def test_nobody_listens_and_no_account() -> None:
    with pytest.raises(NoTokenError):
        await AccessTokens(verify=False).of(KEY, "http://127.0.0.1:1/token")
    with pytest.raises(KeyFormError):
        await AccessTokens(verify=False).of(Secret("{}"), "http://127.0.0.1:1/token")
