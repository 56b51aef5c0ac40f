"""Requests of benches as bytes."""

import asyncio
import contextlib

from tests.bench.asking import Door, drive, traceparent

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def test_a_request_has_its_key_and_its_trace() -> None:
    door = Door("http://127.0.0.1:8080/api/gateway")
    sent = traceparent("ab" * 16, sampled=True)
    head, _, body = door.request("sk-1", sent).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /api/gateway/chat/completions HTTP/1.1"
    assert {"Authorization: Bearer sk-1", f"traceparent: {sent}", f"Content-Length: {len(body)}"} <= set(lines)
    assert sent.startswith(f"00-{'ab' * 16}-") and sent.endswith("-01")
    assert b"traceparent" not in door.request("sk-1")


async def test_load_is_shared_among_ingresses_and_keys() -> None:
    seen: list[tuple[int, bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.split(b"\r\n")
                length = next(int(line[15:]) for line in lines if line.startswith(b"Content-Length"))
                await reader.readexactly(length)
                seen.append((port, next(line for line in lines if line.startswith(b"Authorization"))))
                writer.write(ANSWER)

    servers = [await asyncio.start_server(serve, "127.0.0.1", 0) for _ in range(2)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    doors = [Door(f"http://127.0.0.1:{port}") for port in ports]
    result = await drive(doors, ["a", "b"], connections=3, seconds=0.1)
    for server in servers:
        server.close()
    assert result.errors == 0 and len(result.samples) == len(seen)
    assert {port for port, _ in seen} == set(ports)
    assert {line for _, line in seen} >= {b"Authorization: Bearer a"}
