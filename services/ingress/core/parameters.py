"""Which parameters a model takes, found by what an exchange with its provider leaves out. Pure.

Source of the names: OpenRouter's documentation, "Models", supported parameters.
"""

from typing import Any

from contracts.requests import Surface
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call
from libs.config.providers import Model, Provider

_SCHEMA = {"name": "answer", "strict": True, "schema": {"type": "object", "properties": {}}}
_TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
_TRIED: tuple[dict[str, Any], ...] = (
    {
        "temperature": 0.5,
        "top_p": 0.5,
        "top_k": 5,
        "stop": ["."],
        "seed": 1,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.5,
        "logit_bias": {"1": 1},
        "logprobs": True,
        "top_logprobs": 2,
    },
    {"reasoning": {"effort": "low"}},
    {"tools": [_TOOL], "tool_choice": "auto", "parallel_tool_calls": False},
    {"response_format": {"type": "json_schema", "json_schema": _SCHEMA}, "verbosity": "low"},
)
"""Side by side what no protocol refuses beside the others."""
_IMPLIED = {"reasoning": ("include_reasoning",), "response_format": ("structured_outputs",)}
_BESIDE_CHAT: dict[Surface, tuple[str, ...]] = {
    Surface.EMBEDDINGS: ("dimensions", "encoding_format"),
    Surface.FIM: ("max_tokens", "stop", "suffix"),
    Surface.IMAGE_GENERATIONS: ("n", "quality", "response_format", "size"),
    Surface.IMAGE_EDITS: ("n", "size"),
    Surface.MODERATIONS: ("input",),
    Surface.RERANK: ("top_n",),
    Surface.SPEECH: ("response_format", "speed", "voice"),
    Surface.TRANSCRIPTIONS: ("language", "response_format", "temperature"),
}
CHAT = frozenset({Surface.CHAT_COMPLETIONS, Surface.RESPONSES, Surface.MESSAGES, Surface.COMPLETIONS})


def is_for_chat(model: Model) -> bool:
    """The model can be asked on a surface of conversations."""
    return not model.surfaces or not CHAT.isdisjoint(model.surfaces)


def supported_parameters(model: Model, provider: Provider) -> list[str]:
    """Names of the parameters that reach the model, sorted. Never empty: clients take an empty list for all.

    Args:
        provider: adapted to the model.
    """
    if not is_for_chat(model):
        return sorted({name for surface in model.surfaces for name in _BESIDE_CHAT.get(surface, ())})
    found = {"max_tokens"}
    for tried in _TRIED:
        taken = tried.keys() - _left_out(tried, model, provider)
        found |= taken
        found |= {implied for name in taken for implied in _IMPLIED.get(name, ())}
    return sorted(found)


def _left_out(tried: dict[str, Any], model: Model, provider: Provider) -> set[str]:
    call = Call(
        Surface.CHAT_COMPLETIONS,
        {"messages": [{"role": "user", "content": "?"}], **tried},
        model.id,
        model.upstream_model,
        streamed=False,
        cap_tokens=None,
        most_tokens=16_384,
        created_s=0,
    )
    return set(exchange(call, provider).outgoing.dropped)
