"""The answers of the API in bytes: JSON, errors, server-sent events, and the headers around them."""

from collections.abc import Iterable
from typing import Any

import orjson

from contracts.decisions import QuotaWindow
from contracts.record import JSON, Refusal
from contracts.replies import EVENTS, ReplyEnded, ReplyStarted
from contracts.requests import Surface
from libs.chat.surfaces.messages.errors import error_type

RawHeaders = list[tuple[bytes, bytes]]
Message = dict[str, Any]

_FREE = ("free", "requests")
_STREAMED = [
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


def error_body(refusal: Refusal, surface: Surface = Surface.CHAT_COMPLETIONS) -> bytes:
    """The documented shape of an error; for Messages with what Anthropic's clients look for."""
    error: dict[str, Any] = {"message": refusal.message, "code": refusal.status}
    if refusal.metadata:
        error["metadata"] = refusal.metadata
    if surface is Surface.MESSAGES:
        if code := refusal.metadata.get("error_code"):
            error["details"] = {"error_code": code}
        return orjson.dumps({"type": "error", "error": {"type": error_type(refusal.status), **error}})
    return orjson.dumps({"error": error})


def reply_headers(reply: ReplyStarted | ReplyEnded, *, looked_up: bool = False) -> RawHeaders:
    """Where quotas stand, how long one waited for them, who answered, who was tried before, and what was not sent.

    Args:
        looked_up: the answer could have come from the cache.
    """
    headers = quota_headers(reply.windows)
    if reply.waited_ms:
        headers.append((b"x-sluice-waited-ms", str(reply.waited_ms).encode()))
    if reply.provider_id:
        headers.append((b"x-sluice-provider", reply.provider_id.encode()))
    if reply.tried:
        headers.append((b"x-sluice-tried", ", ".join(reply.tried).encode()))
    if reply.cached_s is not None:
        headers += [(b"x-sluice-cache", b"hit"), (b"age", str(reply.cached_s).encode())]
    elif looked_up:
        headers.append((b"x-sluice-cache", b"miss"))
    if reply.model:
        headers.append((b"x-sluice-model", reply.model.encode()))
    if reply.dropped:
        headers.append((b"x-sluice-dropped", ", ".join(reply.dropped).encode()))
    return headers


def quota_headers(windows: Iterable[QuotaWindow]) -> RawHeaders:
    """``RateLimit`` and ``RateLimit-Policy`` (IETF draft "RateLimit header fields for HTTP", structured fields)."""
    windows = list(windows)
    if not windows:
        return []
    policy = ", ".join(f'"{window.name}";q={window.limit};w={window.window_s}' for window in windows)
    state = ", ".join(f'"{window.name}";r={window.remaining};t={window.reset_s}' for window in windows)
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", state.encode()), *_openai_headers(windows)]


def _openai_headers(windows: list[QuotaWindow]) -> RawHeaders:
    """``x-ratelimit-*`` as OpenAI's SDKs read them: of requests and of tokens the limit with the least left."""
    found: RawHeaders = []
    for what in ("requests", "tokens"):
        counted = [window for window in windows if window.name.endswith(f"-{what}") or (window.name, what) == _FREE]
        if counted:
            least = min(counted, key=lambda window: window.remaining)
            for name, value in (("limit", least.limit), ("remaining", least.remaining), ("reset", f"{least.reset_s}s")):
                found.append((f"x-ratelimit-{name}-{what}".encode(), str(value).encode()))
    return found


def whole(status: int, body: bytes, headers: RawHeaders, content_type: str = JSON) -> list[Message]:
    """The ASGI messages of an answer that is there at once."""
    start = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode()), *headers]
    return [
        {"type": "http.response.start", "status": status, "headers": start},
        {"type": "http.response.body", "body": body},
    ]


def nothing(headers: RawHeaders) -> list[Message]:
    """The ASGI messages of an answer without content."""
    return [
        {"type": "http.response.start", "status": 204, "headers": headers},
        {"type": "http.response.body", "body": b""},
    ]


def refused(refusal: Refusal, headers: RawHeaders, surface: Surface = Surface.CHAT_COMPLETIONS) -> list[Message]:
    """The ASGI messages of an error before the first byte."""
    if refusal.retry_after_s is not None:
        headers = [*headers, (b"retry-after", str(refusal.retry_after_s).encode())]
    return whole(refusal.status, error_body(refusal, surface), headers)


def stream_start(headers: RawHeaders, content_type: str = EVENTS) -> Message:
    """The ASGI message that begins a stream."""
    start = [(b"content-type", content_type.encode()), *_STREAMED, *headers]
    return {"type": "http.response.start", "status": 200, "headers": start}


def stream_data(data: str | bytes, *, last: bool = False) -> Message:
    """The ASGI message of some events, or of a piece of a recording."""
    body = data if isinstance(data, bytes) else data.encode()
    return {"type": "http.response.body", "body": body, "more_body": not last}
