"""The APIs beside chat, from the provider's side: completions from before chat, moderations, images, audio, rerank.

Forms are read with the standard library, not with the gateway's own code, which is what they test.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from typing import Any

import orjson

from deploy.local.stub.answers import CREATED_S
from deploy.local.stub.protocol import data_event, named_event

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
SECONDS = 7.2
"""Of every recording."""
TOKENS = {"input_tokens": 12, "output_tokens": 30, "total_tokens": 42}
_DETAILS = {"input_tokens_details": {"text_tokens": 8, "image_tokens": 4}}


@dataclass(frozen=True)
class Reply:
    """An answer: whole, or in pieces."""

    whole: Any = None
    """JSON, or text."""
    pieces: list[bytes] = field(default_factory=list)
    content_type: bytes = b"text/event-stream"


def form_of(content_type: str, body: bytes) -> dict[str, Any]:
    """The fields of a form; of a file its name, its size and its SHA-256."""
    parsed = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    found: dict[str, Any] = {}
    for part in parsed.get_payload():
        assert isinstance(part, Message)
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        name = str(part.get_param("name", header="content-disposition"))
        filename = part.get_filename()
        value: Any = content.decode() if filename is None else _file(filename, content)
        found[name] = [*found[name], value] if name.endswith("[]") and name in found else value
        if name.endswith("[]") and not isinstance(found[name], list):
            found[name] = [value]
    return found


def _file(filename: str, content: bytes) -> dict[str, Any]:
    return {"filename": filename, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _completions(body: dict[str, Any]) -> Reply:
    prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
    identity = {"id": "cmpl-stub", "object": "text_completion", "created": CREATED_S, "model": body["model"]}
    usage = {"prompt_tokens": len(prompts), "completion_tokens": 2, "total_tokens": len(prompts) + 2}
    choices = [
        {"index": index, "text": "two words", "logprobs": body.get("logprobs"), "finish_reason": "stop"}
        for index in range(len(prompts) * (body.get("n") or 1))
    ]
    if not body.get("stream"):
        return Reply({**identity, "choices": choices, "usage": usage})
    events = [{**identity, "choices": [choice]} for choice in choices]
    events.append({**identity, "choices": [], "usage": usage})
    return Reply(pieces=[*map(data_event, events), b"data: [DONE]\n\n"])


def _moderations(body: dict[str, Any]) -> Reply:
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    results = [
        {
            "flagged": "bad" in str(one),
            "categories": {"violence": "bad" in str(one)},
            "category_scores": {"violence": 0.5},
        }
        for one in inputs
    ]
    return Reply({"id": "modr-stub", "model": body["model"], "results": results})


def _images(body: dict[str, Any], kind: str) -> Reply:
    counted = str(body["model"]).startswith("gpt-image")
    usage = {"usage": {**TOKENS, **_DETAILS}} if counted else {}
    traits = {"quality": "high", "size": "1024x1536"} if counted else {}
    if str(body.get("stream")).lower() == "true":
        common = {"b64_json": PIXEL, "created_at": CREATED_S, **traits}
        partial = {"type": f"{kind}.partial_image", "partial_image_index": 0, **common}
        done = {"type": f"{kind}.completed", **common, **usage}
        return Reply(pieces=[named_event(partial), named_event(done)])
    drawn = [{"b64_json": PIXEL} for _ in range(int(body.get("n") or 1))]
    return Reply({"created": CREATED_S, "data": drawn, **traits, **usage})


def _transcription(body: dict[str, Any]) -> Reply:
    text, form = f"heard {body['file']['bytes']} bytes", body.get("response_format", "json")
    usage = {"type": "duration", "seconds": 8}
    if str(body["model"]).startswith("gpt"):
        usage = {"type": "tokens", **TOKENS, "input_token_details": {"text_tokens": 0, "audio_tokens": 12}}
    if body.get("stream") == "true":
        words = [named_event({"type": "transcript.text.delta", "delta": f"{word} "}) for word in text.split()]
        return Reply(pieces=[*words, named_event({"type": "transcript.text.done", "text": text, "usage": usage})])
    if form == "verbose_json":
        segments = [
            {"id": 0, "start": 0.0, "end": 3.5, "text": " heard"},
            {"id": 1, "start": 3.5, "end": SECONDS, "text": f" {body['file']['bytes']} bytes"},
        ]
        whole = {"task": "transcribe", "language": "english", "duration": SECONDS, "text": text, "segments": segments}
        return Reply({**whole, "usage": usage})
    return Reply({"text": text, "usage": usage} if form == "json" else f"{text}\n")


def _speech(body: dict[str, Any]) -> Reply:
    pieces = [f"{word} ".encode() for word in body["input"].split()]
    if body.get("stream_format") != "sse":
        return Reply(pieces=pieces, content_type=b"audio/mpeg")
    events = [{"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()} for piece in pieces]
    return Reply(pieces=[*map(data_event, events), data_event({"type": "speech.audio.done", "usage": TOKENS})])


def _rerank(body: dict[str, Any]) -> Reply:
    count = min(len(body["documents"]), body.get("top_n") or len(body["documents"]))
    results = [{"index": index, "relevance_score": round(1 / (index + 1), 3)} for index in range(count)]
    return Reply({"id": "rerank-stub", "results": results, "meta": {"billed_units": {"search_units": 1}}})


ANSWERS: dict[str, Callable[[dict[str, Any]], Reply]] = {
    "/v1/completions": _completions,
    "/moderations": _moderations,
    "/images/generations": lambda body: _images(body, "image_generation"),
    "/images/edits": lambda body: _images(body, "image_edit"),
    "/audio/transcriptions": _transcription,
    "/audio/speech": _speech,
    "/rerank": _rerank,
}


def answer_of(path: str) -> Callable[[dict[str, Any]], Reply] | None:
    """What answers a path, if it is one of these."""
    return next((answer for end, answer in ANSWERS.items() if path.endswith(end)), None)


def encoded(whole: Any) -> tuple[bytes, bytes]:
    """Content type and body of a whole answer."""
    if isinstance(whole, str):
        return b"text/plain; charset=utf-8", whole.encode()
    return b"application/json", orjson.dumps(whole)
