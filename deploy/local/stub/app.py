"""The application: keys, counting, misbehaviour and streaming, the same for every protocol."""

import asyncio
import hmac
from collections import Counter, deque
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from deploy.local.stub.answers import Knobs, StubAnswer, StubRequest, answer_to
from deploy.local.stub.chat import Chat
from deploy.local.stub.converse import Converse
from deploy.local.stub.endpoints import Reply, answer_of, encoded, form_of
from deploy.local.stub.gemini import Gemini
from deploy.local.stub.messages import Messages
from deploy.local.stub.protocol import StubProtocol
from deploy.local.stub.responses import Responses
from deploy.local.stub.tokens import token_of
from deploy.local.stub.validation import violation

OWN_KEY_PREFIX = b"sk-stub-"
"""Keys that begin like this are accepted too: a tester's own."""
SIGNED = b"AWS4-HMAC-SHA256 "
"""So begins what an AWS access key signs; the signature has its test elsewhere."""
PROTOCOLS: tuple[tuple[str, StubProtocol], ...] = (
    ("/chat/completions", Chat()),
    ("/fim/completions", Chat()),
    ("/messages", Messages()),
    ("/responses", Responses()),
    (":rawPredict", Messages()),
    (":streamRawPredict", Messages()),
    (":generateContent", Gemini()),
    (":streamGenerateContent", Gemini()),
    ("/converse", Converse()),
    ("/converse-stream", Converse()),
)


_SECRET = frozenset({b"authorization", b"api-key", b"x-api-key", b"x-goog-api-key"})


class _Cut(Exception):
    """The connection is to be closed in the middle; uvicorn does that when an application fails."""


class StubProvider:
    """The ASGI application. ``GET /stub/stats`` gives what it served, for tests that compare it with the ledger;
    ``GET /stub/last`` the last request's body, ``GET /stub/headers`` its headers without
    keys. Below ``/as/<provider>`` that provider's rules are enforced.
    """

    def __init__(self, key: str | None) -> None:
        self._key = key
        self._counts: Counter[str] = Counter()
        self._last: Any = None
        self._headers: dict[str, str] = {}
        self._failed: deque[str] = deque(maxlen=100)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == "/stub/stats":
            await _json(send, 200, dict(self._counts))
            return
        if path == "/stub/last":
            await _json(send, 200, self._last)
            return
        if path == "/stub/headers":
            await _json(send, 200, self._headers)
            return
        if path.endswith(("/models", "/foundation-models")):
            await _json(send, 200 if self._authorized(scope) else 401, {"object": "list", "data": []})
            return
        if path.endswith("/token"):
            await _json(send, *token_of(await _body(receive)))
            return
        endpoint = answer_of(path)
        protocol = next((protocol for end, protocol in PROTOCOLS if path.endswith(end)), None)
        if protocol is None and endpoint is None and not path.endswith(("/embeddings", ":batchEmbedContents")):
            await _json(send, 404, Chat().error(404, "no such route"))
            return
        body = await _body(receive)
        if not self._authorized(scope):
            self._counts["refused"] += 1
            refusal = (protocol or Chat()).error(401, "Incorrect API key provided.")
            await _json(send, 400 if isinstance(protocol, Gemini) else 401, refusal)
            return
        self._counts["requests"] += 1
        self._counts["in_flight"] += 1
        try:
            content_type = dict(scope["headers"]).get(b"content-type", b"").decode()
            self._last = form_of(content_type, body) if content_type.startswith("multipart/") else orjson.loads(body)
            self._headers = {
                name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name not in _SECRET
            }
            refused = violation(path, dict(scope["headers"]), self._last)
            if refused:
                await _json(send, 400, (protocol or Chat()).error(400, refused))
                return
            if endpoint:
                await self._answer_endpoint(endpoint(self._last), Knobs(str(self._last)), send)
            elif protocol is None:
                await self._embed(self._last, send)
            else:
                await self._answer(protocol, protocol.parse(path, self._last), _key_tail(scope), receive, send)
        finally:
            self._counts["in_flight"] -= 1

    def _authorized(self, scope: Scope) -> bool:
        given = _given_key(scope)
        self._counts[f"calls with {_key_tail(scope)}"] += 1
        if self._key is None or given.startswith((OWN_KEY_PREFIX, SIGNED)):
            return True
        return hmac.compare_digest(given, self._key.encode())

    async def _answer(
        self, protocol: StubProtocol, request: StubRequest, used_key: str, receive: Receive, send: Send
    ) -> None:
        knobs = request.knobs
        if status := knobs.number("error"):
            headers = [(b"retry-after", b"7")] if status == 429 else []
            await _json(send, status, protocol.error(status, f"the stub was asked for {status}"), headers)
            return
        if self._fails_once(knobs.text("flaky")):
            await _json(send, 503, protocol.error(503, "the stub was asked to fail once"), [(b"retry-after", b"1")])
            return
        if knobs.text("hang"):
            await _disconnected(receive)
            return
        if knobs.number("cut_after") == 0:
            raise _Cut
        if knobs.text("garbage"):
            await _json(send, 200, {"hello": "world"})
            return
        answer = answer_to(request, protocol.call_prefix)
        if knobs.text("usage") != "none":
            self._counts["input_tokens"] += answer.input_tokens
            self._counts["output_tokens"] += answer.output_tokens
        if request.streamed:
            gone = asyncio.create_task(_disconnected(receive))
            try:
                await self._stream(protocol, request, answer, gone, send)
            finally:
                gone.cancel()
            return
        await asyncio.sleep((knobs.number("gap_ms", 0) or 0) / 1000)
        whole = protocol.whole(answer)
        if isinstance(protocol, Chat):
            whole["system_fingerprint"] = used_key
        await _json(send, 200, whole)

    def _fails_once(self, name: str) -> bool:
        """True for the first request that gives the name; the newest hundred names are known."""
        if not name or name in self._failed:
            return False
        self._failed.append(name)
        return True

    async def _stream(
        self, protocol: StubProtocol, request: StubRequest, answer: StubAnswer, gone: "asyncio.Task[None]", send: Send
    ) -> None:
        knobs = request.knobs
        gap_s = (knobs.number("gap_ms", 0) or 0) / 1000
        cut, fail, hang = (knobs.number(name) for name in ("cut_after", "fail_after", "hang_after"))

        async def put(piece: bytes) -> None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        headers = [(b"content-type", protocol.content_type)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in protocol.opening(answer):
            await put(piece)
        for number in range(len(answer.words)):
            if cut == number:
                raise _Cut
            if fail == number:
                await put(protocol.failure("the stub was asked to fail"))
                return
            if hang == number:
                await gone
            if gap_s and number:
                await asyncio.wait({gone}, timeout=gap_s)
            if gone.done():
                self._counts["cancelled"] += 1
                return
            await put(protocol.word(answer, number))
        await put(b"".join(protocol.closing(answer)))
        await send({"type": "http.response.body", "body": b""})

    async def _answer_endpoint(self, reply: Reply, knobs: Knobs, send: Send) -> None:
        """Of the misbehaviour ``error``, ``cut_after`` and ``gap_ms``."""
        if status := knobs.number("error"):
            await _json(send, status, Chat().error(status, f"the stub was asked for {status}"))
            return
        content_type, body = (reply.content_type, b"") if reply.pieces else encoded(reply.whole)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", content_type)]})
        for number, piece in enumerate(reply.pieces):
            if knobs.number("cut_after") == number:
                raise _Cut
            await asyncio.sleep((knobs.number("gap_ms", 0) or 0) / 1000)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": body})

    async def _embed(self, body: dict[str, Any], send: Send) -> None:
        """OpenAI's embeddings, or Gemini's."""
        vector = [0.25, -0.5]
        if "requests" in body:
            await _json(send, 200, {"embeddings": [{"values": vector} for _ in body["requests"]]})
            return
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [{"object": "embedding", "index": number, "embedding": vector} for number in range(len(texts))]
        tokens = sum(max(1, len(str(text)) // 4) for text in texts)
        self._counts["input_tokens"] += tokens
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        await _json(send, 200, {"object": "list", "data": data, "model": body["model"], "usage": usage})


def _given_key(scope: Scope) -> bytes:
    headers = dict(scope["headers"])
    bearer: bytes = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
    return bearer or headers.get(b"x-api-key") or headers.get(b"x-goog-api-key") or headers.get(b"api-key") or b""


def _key_tail(scope: Scope) -> str:
    """By this a test sees which key was used."""
    return f"…{_given_key(scope)[-4:].decode('latin-1')}"


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _json(send: Send, status: int, content: Any, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    body = orjson.dumps(content)
    start = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *(headers or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
