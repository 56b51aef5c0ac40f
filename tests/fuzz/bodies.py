"""Requests that cost a reader much, or mean nothing, as they are sent to an ingress that runs."""

import gzip
import random
import zlib
from collections.abc import Iterator

from tests.fuzz.mutation import changed
from tests.fuzz.targets import CORPUS
from tests.fuzz.wire import CHUNKED, HOST

PATH = b"/api/gateway/chat/completions"
MIB = 1024 * 1024
JSON_TYPE = b"content-type: application/json\r\n"
_BOMB = gzip.compress(bytes(20 * MIB))
_ZIP = zlib.compress(bytes(20 * MIB))
_PATHS = {
    "chat": b"chat/completions",
    "responses": b"responses",
    "messages": b"messages",
    "embeddings": b"embeddings",
    "completions": b"completions",
}
"""By the name of the corpus' file."""
_CHAT = b'{"model":"stub/echo","messages":[{"role":"user","content":"hi"}]}'


def request(body: bytes, *headers: bytes, method: bytes = b"POST", path: bytes = PATH) -> bytes:
    """A request with a length."""
    lines = b"".join(line + b"\r\n" for line in headers)
    return b"%s %s HTTP/1.1\r\n%s%s%scontent-length: %d\r\n\r\n%s" % (
        method,
        path,
        HOST,
        JSON_TYPE,
        lines,
        len(body),
        body,
    )


def chunked(*chunks: bytes) -> bytes:
    """A request in chunks."""
    head = b"POST " + PATH + b" HTTP/1.1\r\n" + HOST + JSON_TYPE + CHUNKED + b"\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in chunks if one) + b"0\r\n\r\n"


def bombs() -> Iterator[tuple[str, bytes]]:
    """By kind: what is small on the wire, or large, deep or endless."""
    for coding, packed in ((b"gzip", _BOMB), (b"deflate", _ZIP), (b"br", _BOMB[:100]), (b"zstd", _BOMB[:100])):
        yield "content codings", request(packed, b"content-encoding: " + coding)
    for depth in (100, 201, 1_000, 100_000):
        yield "deep JSON", request(b"[" * depth + b"]" * depth)
        yield "deep JSON", request(b'{"model":"stub/echo","messages":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}")
    for body in (b"[" + b"{}," * 200_000 + b"{}]", b'{"a":' + b"9" * 500_000 + b"}", b'"' + b"\\u0000" * 90_000 + b'"'):
        yield "large JSON", request(body)
    for body in (_CHAT.replace(b"hi", b"\0"), _CHAT + b"\0", b"\0" * 1_000, b"\xef\xbb\xbf" + _CHAT, b"", b" " * 1_000):
        yield "NULs and emptiness", request(body)
    for name, count, size in ((b"x", 1, 100_000), (b"x%d", 101, 1), (b"x%d", 50_000, 1), (b"cookie", 1, 30_000)):
        named = [name % number if b"%" in name else name for number in range(count)]
        yield "header bombs", request(b"{}", *(one + b": " + b"y" * size for one in named))
    yield "header bombs", request(b"{}", path=b"/" + b"a" * 100_000)
    yield "header bombs", request(b"{}", path=PATH + b"?" + b"a=b&" * 20_000)
    yield "header bombs", request(b"{}", b"authorization: Bearer " + b"a." * 10_000)
    yield "chunks", chunked(*(_CHAT[at : at + 1] for at in range(len(_CHAT))))
    yield "chunks", chunked(_CHAT).replace(b"\r\n", b";" + b"x" * 100_000 + b"\r\n", 5)
    yield "chunks", chunked(_CHAT)[:-5] + b"0\r\nx: " + b"y" * 100_000 + b"\r\n\r\n"
    yield "pipelining", request(_CHAT) * 100
    yield "pipelining", request(b"", method=b"GET", path=b"/api/gateway/models") * 100


def changed_bodies(seed: int, count: int, key: str, model: str) -> Iterator[tuple[str, bytes]]:
    """Bodies of the corpus, changed, that a real ingress is asked: of a model that it serves, with a key of its."""
    chance = random.Random(seed)
    for _ in range(count):
        name, path = chance.choice(list(_PATHS.items()))
        body = (CORPUS / "bodies" / f"{name}.json").read_bytes()
        body = body.replace(b"a/b", model.encode()).replace(b"openai/gpt-5-mini", model.encode())
        data = changed([body], chance)
        yield "changed bodies", request(data, b"authorization: Bearer " + key.encode(), path=b"/api/gateway/" + path)
