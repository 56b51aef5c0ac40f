"""What providers refuse, as far as their references and their users report it, so that the stub can refuse it too.

A request to ``/as/<provider>/...`` is validated. Not written from our own configuration, which is what it tests.
Sources: the API references of OpenAI, Anthropic, Google, Mistral and xAI; for Mistral's "extra_forbidden", Kimi's
"invalid temperature: only 1 is allowed for this model" and OpenAI's "Encrypted content is not supported with this
model" the public issues of clients that met them.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

_MESSAGE = {
    "mistral": {"role", "content", "tool_calls", "tool_call_id", "name", "prefix"},
    "openai": {"role", "content", "tool_calls", "tool_call_id", "name", "refusal", "audio", "function_call"},
}
_MISTRAL_CHAT = {
    *("model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed", "response_format"),
    *("tools", "tool_choice", "parallel_tool_calls", "presence_penalty", "frequency_penalty", "n", "prediction"),
    *("prompt_mode", "safe_prompt", "metadata", "reasoning_effort"),
}
_MISTRAL_FIM = {
    *("model", "prompt", "suffix", "temperature", "top_p", "max_tokens", "min_tokens", "stream", "stop", "random_seed"),
}
_OPENAI_CHAT = {
    *("model", "messages", "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs"),
    *("max_completion_tokens", "max_tokens", "metadata", "modalities", "n", "parallel_tool_calls", "prediction"),
    *("presence_penalty", "prompt_cache_key", "prompt_cache_retention", "reasoning_effort", "response_format"),
    *("safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options", "temperature"),
    *("tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options"),
}
_OPENAI_EMBEDDINGS = {"model", "input", "encoding_format", "dimensions", "user"}
_ANTHROPIC = {
    *("model", "messages", "max_tokens", "cache_control", "container", "context_management", "inference_geo"),
    *(
        "mcp_servers",
        "metadata",
        "output_config",
        "output_format",
        "service_tier",
        "stop_sequences",
        "stream",
        "system",
    ),
    *("temperature", "thinking", "tool_choice", "tools", "top_k", "top_p", "speed"),
}
_GEMINI = {
    *("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent"),
    "requests",
    "service_tier",
}
_PENALTIES = {"presence_penalty", "frequency_penalty"}


def violation(path: str, headers: dict[bytes, bytes], body: dict[str, Any]) -> str | None:
    """Why the provider that the path names refuses a request; None where it does not, or none is named."""
    _, _, named = path.partition("/as/")
    validate = _VALIDATORS.get(named.partition("/")[0])
    return next(iter(validate(named, headers, body)), None) if validate else None


def _unknown(body: dict[str, Any], known: set[str]) -> Iterable[str]:
    return (f"Extra inputs are not permitted: {name}" for name in body if name not in known)


def _in_messages(body: dict[str, Any], whose: str) -> Iterable[str]:
    for message in body.get("messages") or ():
        yield from (f"in messages: {text}" for text in _unknown(message, _MESSAGE[whose]))
        for call in message.get("tool_calls") or ():
            yield from (f"in tool_calls: {text}" for text in _unknown(call, {"id", "type", "function", "custom"}))
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            yield from (f"in content: {text}" for text in _unknown(part, {"type", part.get("type")}))


def _mistral(path: str, _headers: dict[bytes, bytes], body: dict[str, Any]) -> Iterable[str]:
    if path.endswith("/embeddings"):
        return
    yield from _unknown(body, _MISTRAL_FIM if path.endswith("/fim/completions") else _MISTRAL_CHAT)
    yield from _in_messages(body, "mistral")
    for message in body.get("messages") or ():
        for name in [message.get("tool_call_id"), *(call["id"] for call in message.get("tool_calls") or ())]:
            if name is not None and not re.fullmatch("[a-zA-Z0-9]{9}", name):
                yield f"Tool call id was {name} but must be a-z, A-Z, 0-9, with a length of 9."


def _openai(path: str, _headers: dict[bytes, bytes], body: dict[str, Any]) -> Iterable[str]:
    if path.endswith("/responses"):
        if str(body.get("model")).startswith("gpt-4") and "reasoning.encrypted_content" in (body.get("include") or ()):
            yield "Encrypted content is not supported with this model."
        return
    if path.endswith("/embeddings"):
        yield from _unknown(body, _OPENAI_EMBEDDINGS)
        return
    yield from _unknown(body, _OPENAI_CHAT)
    yield from _in_messages(body, "openai")
    if str(body.get("model")).startswith("gpt-5"):
        yield from ["Unsupported parameter: 'max_tokens'"] if "max_tokens" in body else []
    if str(body.get("model")) == "gpt-5-mini":
        yield from _refuses(body, {"temperature", "top_p", "logprobs", "top_logprobs", "logit_bias", *_PENALTIES})


def _anthropic(_path: str, headers: dict[bytes, bytes], body: dict[str, Any]) -> Iterable[str]:
    yield from _unknown(body, _ANTHROPIC)
    yield from () if b"anthropic-version" in headers else ("anthropic-version: header is required",)
    yield from () if isinstance(body.get("max_tokens"), int) else ("max_tokens: Field required",)
    thinking = (body.get("thinking") or {}).get("type")
    if thinking and (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        yield "Thinking may not be enabled when tool_choice forces tool use."
    assistant = [message["content"] for message in body.get("messages") or () if message["role"] == "assistant"]
    kinds = [block["type"] for block in assistant[-1]] if assistant and isinstance(assistant[-1], list) else []
    if thinking == "enabled" and "tool_use" in kinds and kinds[0] not in ("thinking", "redacted_thinking"):
        yield f"Expected `thinking` or `redacted_thinking`, but found `{kinds[0]}`."
    if re.search(r"-4-[7-9]|-5", re.sub(r"-4-5", "", str(body.get("model")))):
        yield from _refuses(body, {"temperature", "top_p", "top_k"})
        yield from ["thinking.type.enabled is not supported for this model"] if thinking == "enabled" else []
    elif thinking in ("enabled", "adaptive"):
        yield from _refuses(body, {"temperature", "top_k"})


def _gemini(_path: str, _headers: dict[bytes, bytes], body: dict[str, Any]) -> Iterable[str]:
    return (f'Invalid JSON payload received. Unknown name "{name}"' for name in body if name not in _GEMINI)


def _xai(_path: str, _headers: dict[bytes, bytes], body: dict[str, Any]) -> Iterable[str]:
    model = str(body.get("model"))
    if model.startswith(("grok-4", "grok-code", "grok-build")):
        # From 4.3 on an effort is taken ("Reasoning", and models.dev).
        takes_effort = re.match(r"grok-4\.[3-9]", model)
        yield from _refuses(body, {"stop", *_PENALTIES} | (set() if takes_effort else {"reasoning_effort"}))


def _kimi(_path: str, _headers: dict[bytes, bytes], body: dict[str, Any]) -> Iterable[str]:
    if body.get("temperature", 1) != 1:
        yield "invalid temperature: only 1 is allowed for this model"


def _refuses(body: dict[str, Any], names: set[str]) -> Iterable[str]:
    return (f"Unsupported parameter: '{name}' is not supported with this model." for name in sorted(names & set(body)))


_VALIDATORS: dict[str, Callable[[str, dict[bytes, bytes], dict[str, Any]], Iterable[str]]] = {
    "mistral": _mistral,
    "codestral": _mistral,
    "openai": _openai,
    "anthropic": _anthropic,
    "google": _gemini,
    "xai": _xai,
    "kimi-coding": _kimi,
}
