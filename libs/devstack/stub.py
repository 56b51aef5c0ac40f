"""The stub provider: answers the same to the same, and misbehaves on request.

It speaks OpenAI's chat completions, fill-in-the-middle and embeddings, and Anthropic's Messages.
A model of the name ``fails:error=429`` fails so always.

A client asks for misbehaviour in its last message, so that any SDK can: ``[[stub chunks=200 gap_ms=5]]``.

| knob | effect |
|---|---|
| ``chunks=N`` | the answer has N words, one chunk each, but no more than ``max_tokens`` |
| ``gap_ms=N`` | pause between chunks (and before an answer that is not streamed) |
| ``error=STATUS`` | that HTTP status, in OpenAI's shape |
| ``hang=1`` | never answers |
| ``hang_after=N`` | silent for ever after N chunks |
| ``cut_after=N`` | closes the connection after N chunks (0: before the first byte) |
| ``fail_after=N`` | an error event after N chunks |
| ``usage=none`` | gives no counts; ``usage=zero`` gives zeros |
| ``tool=1`` | calls the first of the request's tools |
| ``garbage=1`` | answers with something that is no chat completion |
"""

import asyncio
import hashlib
import hmac
import os
import re
import sys
from collections import Counter
from typing import Any

import orjson
import uvicorn
from starlette.types import Receive, Scope, Send

KEY_VARIABLE = "SLUICE_STUB_KEY"
OWN_KEY_PREFIX = b"Bearer sk-stub-"
"""Keys that begin like this are accepted too: a tester's own."""
_KNOBS = re.compile(r"\[\[stub ([^\]]*)\]\]")
_WORDS = tuple(
    "the quick gateway counts every token and never loses one of them on its way through the log".split()  # noqa: SIM905
)
_CREATED = 1_767_225_600


class Knobs:
    """How one answer is to be given."""

    def __init__(self, text: str) -> None:
        found = _KNOBS.search(text)
        self._values: dict[str, str] = (
            dict(part.partition("=")[::2] for part in found.group(1).split()) if found else {}
        )

    def number(self, name: str, default: int | None = None) -> int | None:
        """A whole number, or the default."""
        value = self._values.get(name, "")
        return int(value) if value.isdigit() else default

    def text(self, name: str) -> str:
        """A word, or nothing."""
        return self._values.get(name, "")


class _Cut(Exception):
    """The connection is to be closed in the middle; uvicorn does that when an application fails."""


class StubProvider:
    """The ASGI application. ``GET /stub/stats`` gives what it served, for tests that compare it with the ledger;
    ``GET /stub/last`` the last request's body.
    """

    def __init__(self, key: str | None) -> None:
        self._key = key
        self._counts: Counter[str] = Counter()
        self._last: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            return
        if scope["path"] == "/stub/stats":
            await _json(send, 200, dict(self._counts))
            return
        if scope["path"] == "/stub/last":
            await _json(send, 200, self._last)
            return
        if scope["path"].endswith("/models"):
            await _json(send, 200 if self._authorized(scope) else 401, {"object": "list", "data": []})
            return
        if not scope["path"].endswith(("/chat/completions", "/messages", "/embeddings", "/fim/completions")):
            await _json(send, 404, _error("no such route", "not_found"))
            return
        body = await _body(receive)
        if not self._authorized(scope):
            self._counts["refused"] += 1
            await _json(send, 401, _error("Incorrect API key provided.", "invalid_api_key"))
            return
        self._counts["requests"] += 1
        self._counts["in_flight"] += 1
        try:
            self._last = orjson.loads(body)
            if scope["path"].endswith("/messages"):
                await self._message(self._last, send)
            elif scope["path"].endswith("/embeddings"):
                await self._embed(self._last, send)
            else:
                await self._answer(self._last, _key_tail(scope), receive, send)
        finally:
            self._counts["in_flight"] -= 1

    def _authorized(self, scope: Scope) -> bool:
        given = _authorization(scope)
        self._counts[f"calls with {_key_tail(scope)}"] += 1
        if self._key is None or given.startswith(OWN_KEY_PREFIX):
            return True
        return hmac.compare_digest(given, b"Bearer " + self._key.encode())

    async def _answer(self, body: dict[str, Any], used_key: str, receive: Receive, send: Send) -> None:
        prompt = _last_text(body)
        knobs = Knobs(_wish(body))
        status = knobs.number("error")
        if status:
            headers = [(b"retry-after", b"7")] if status == 429 else []
            await _json(send, status, _error(f"the stub was asked for {status}", "stub_error"), headers)
            return
        if knobs.text("hang"):
            await _disconnected(receive)
            return
        if knobs.number("cut_after") == 0:
            raise _Cut
        if knobs.text("garbage"):
            await _json(send, 200, {"hello": "world"})
            return
        most = body.get("max_completion_tokens") or body.get("max_tokens")
        wanted = knobs.number("chunks", 8) or 0
        words = _words(prompt, min(wanted, most) if most else wanted)
        usage = _usage(body, len(words), knobs.text("usage"))
        self._count(usage)
        if body.get("stream"):
            # Who fills in the middle always gives counts, as Mistral does.
            asked = "prompt" in body or (body.get("stream_options") or {}).get("include_usage", False)
            gone = asyncio.create_task(_disconnected(receive))
            try:
                await self._stream(body, knobs, words, usage if asked else None, gone, send)
            finally:
                gone.cancel()
            return
        await asyncio.sleep((knobs.number("gap_ms", 0) or 0) / 1000)
        message, reason = _message(body, knobs, words)
        answer: dict[str, Any] = {
            **_identity(prompt, body, "chat.completion"),
            "system_fingerprint": used_key,
            "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}],
        }
        if usage is not None:
            answer["usage"] = usage
        await _json(send, 200, answer)

    async def _embed(self, body: dict[str, Any], send: Send) -> None:
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [{"object": "embedding", "index": n, "embedding": [0.25, -0.5]} for n in range(len(texts))]
        tokens = sum(max(1, len(str(text)) // 4) for text in texts)
        self._counts["input_tokens"] += tokens
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        await _json(send, 200, {"object": "list", "data": data, "model": body["model"], "usage": usage})

    async def _message(self, body: dict[str, Any], send: Send) -> None:
        """Anthropic's Messages, with ``cache=N`` cached and ``think=1`` thought tokens."""
        prompt = _last_text(body)
        knobs = Knobs(prompt)
        status = knobs.number("error")
        if status:
            error = {"type": "api_error", "message": f"the stub was asked for {status}"}
            await _json(send, status, {"type": "error", "error": error})
            return
        words = _words(prompt, min(knobs.number("chunks", 8) or 0, body["max_tokens"]))
        blocks: list[dict[str, Any]] = []
        if knobs.text("think"):
            blocks.append({"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"})
        blocks.append({"type": "text", "text": "".join(words)})
        tools = body.get("tools")
        if knobs.text("tool") and tools:
            blocks.append(
                {"type": "tool_use", "id": "toolu_stub1", "name": tools[0]["name"], "input": {"city": "Graz"}}
            )
        reason = "tool_use" if knobs.text("tool") else "end_turn"
        if len(words) < (knobs.number("chunks", 8) or 0):
            reason = "max_tokens"
        usage = {
            "input_tokens": max(1, len(prompt) // 4),
            "cache_read_input_tokens": knobs.number("cache", 0),
            "cache_creation_input_tokens": 0,
            "output_tokens": len(words),
        }
        message: dict[str, Any] = {"id": "msg_stub", "type": "message", "role": "assistant", "model": body["model"]}
        message |= {"stop_sequence": None}
        if not body.get("stream"):
            await _json(send, 200, {**message, "content": blocks, "stop_reason": reason, "usage": usage})
            return
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def put(kind: str, **content: Any) -> None:
            data = orjson.dumps({"type": kind, **content})
            body_ = b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
            await send({"type": "http.response.body", "body": body_, "more_body": True})

        begun = {**usage, "output_tokens": 1}
        await put("message_start", message={**message, "content": [], "stop_reason": None, "usage": begun})
        await put("ping")
        for index, block in enumerate(blocks):
            empty: dict[str, dict[str, Any]] = {
                "thinking": {"thinking": "", "signature": ""},
                "text": {"text": ""},
                "tool_use": {"input": {}},
            }
            await put("content_block_start", index=index, content_block={**block, **empty[block["type"]]})
            for delta in _deltas(block, words):
                await put("content_block_delta", index=index, delta=delta)
            await put("content_block_stop", index=index)
        if knobs.number("fail_after") is not None:
            await put("error", error={"type": "overloaded_error", "message": "the stub was asked to fail"})
            return
        output = {"output_tokens": usage["output_tokens"]}
        await put("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=output)
        await put("message_stop")
        await send({"type": "http.response.body", "body": b""})

    async def _stream(
        self,
        body: dict[str, Any],
        knobs: Knobs,
        words: list[str],
        usage: dict[str, int] | None,
        gone: "asyncio.Task[None]",
        send: Send,
    ) -> None:
        identity = _identity(_last_text(body), body, "chat.completion.chunk")
        gap_s = (knobs.number("gap_ms", 0) or 0) / 1000

        async def put(delta: dict[str, Any], reason: str | None = None) -> None:
            choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
            await _event(send, {**identity, "choices": choices})

        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        message, reason = _message(body, knobs, words)
        if "tool_calls" in message:
            await put({"role": "assistant", "tool_calls": [{"index": 0, **message["tool_calls"][0]}]})
        else:
            for number, word in enumerate(words):
                if knobs.number("cut_after") == number:
                    raise _Cut
                if knobs.number("fail_after") == number:
                    await _event(send, _error("the stub was asked to fail", "stub_error"))
                    return
                if knobs.number("hang_after") == number:
                    await gone
                if gap_s and number:
                    await asyncio.wait({gone}, timeout=gap_s)
                if gone.done():
                    self._counts["cancelled"] += 1
                    return
                await put({"role": "assistant", "content": word} if number == 0 else {"content": word})
        await put({}, reason)
        if usage is not None:
            await _event(send, {**identity, "choices": [], "usage": usage})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    def _count(self, usage: dict[str, int] | None) -> None:
        if usage:
            self._counts["input_tokens"] += usage["prompt_tokens"]
            self._counts["output_tokens"] += usage["completion_tokens"]


def _authorization(scope: Scope) -> bytes:
    headers = dict(scope["headers"])
    given: bytes = headers.get(b"authorization") or b"Bearer " + headers.get(b"x-api-key", b"")
    return given


def _wish(body: dict[str, Any]) -> str:
    """The prompt; or, for a model that is named ``fails:<knobs>``, whatever that says."""
    model = str(body.get("model"))
    return f"[[stub {model.removeprefix('fails:')}]]" if model.startswith("fails:") else _last_text(body)


def _deltas(block: dict[str, Any], words: list[str]) -> list[dict[str, Any]]:
    if block["type"] == "text":
        return [{"type": "text_delta", "text": word} for word in words]
    if block["type"] == "thinking":
        thought = {"type": "thinking_delta", "thinking": block["thinking"]}
        return [thought, {"type": "signature_delta", "signature": block["signature"]}]
    return [{"type": "input_json_delta", "partial_json": part} for part in ('{"city":', '"Graz"}')]


def _key_tail(scope: Scope) -> str:
    """What tells a test which key was used."""
    return f"…{_authorization(scope)[-4:].decode('latin-1')}"


def _words(prompt: str, count: int) -> list[str]:
    start = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4], "big")
    chosen = [_WORDS[(start + number) % len(_WORDS)] for number in range(count)]
    return [word if number == 0 else f" {word}" for number, word in enumerate(chosen)]


def _message(body: dict[str, Any], knobs: Knobs, words: list[str]) -> tuple[dict[str, Any], str]:
    tools = body.get("tools")
    if knobs.text("tool") and tools:
        function = {"name": tools[0]["function"]["name"], "arguments": '{"city":"Graz"}'}
        return {"content": None, "tool_calls": [{"id": "call_stub1", "type": "function", "function": function}]}, (
            "tool_calls"
        )
    return {"content": "".join(words)}, "length" if len(words) < (knobs.number("chunks", 8) or 0) else "stop"


def _usage(body: dict[str, Any], output_tokens: int, wish: str) -> dict[str, int] | None:
    if wish == "none":
        return None
    characters = sum(len(str(message.get("content") or "")) for message in body.get("messages", []))
    prompt, completion = (0, 0) if wish == "zero" else (max(1, characters // 4), output_tokens)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _identity(prompt: str, body: dict[str, Any], kind: str) -> dict[str, Any]:
    digest = hashlib.sha256(prompt.encode()).hexdigest()[:24]
    return {"id": f"chatcmpl-{digest}", "object": kind, "created": _CREATED, "model": body.get("model")}


def _last_text(body: dict[str, Any]) -> str:
    content = body.get("prompt") or (body.get("messages") or [{}])[-1].get("content") or ""
    if isinstance(content, list):
        content = " ".join(part.get("text", "") for part in content if isinstance(part, dict))
    return str(content)


def _error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": code, "code": code}}


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


async def _event(send: Send, chunk: dict[str, Any]) -> None:
    await send({"type": "http.response.body", "body": b"data: %b\n\n" % orjson.dumps(chunk), "more_body": True})


async def _json(send: Send, status: int, content: Any, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    body = orjson.dumps(content)
    start = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *(headers or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """``python -m libs.devstack.stub PORT``: serves on loopback until it is stopped."""
    application = StubProvider(os.environ.get(KEY_VARIABLE))
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="critical",
        access_log=False,
        lifespan="off",
        timeout_keep_alive=60,
    )


if __name__ == "__main__":
    main()
