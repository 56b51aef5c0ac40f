"""What is measured of a provider's call, by OpenTelemetry's conventions for generative AI."""

from contracts.requests import Surface
from contracts.usage import TokenUsage
from libs.telemetry.instruments import FIRST_CHUNK, OPERATION_DURATION, TOKEN_USAGE

_OPERATIONS = {
    Surface.CHAT_COMPLETIONS: "chat",
    Surface.RESPONSES: "chat",
    Surface.MESSAGES: "chat",
    Surface.COMPLETIONS: "text_completion",
    Surface.FIM: "text_completion",
    Surface.EMBEDDINGS: "embeddings",
    Surface.MCP: "execute_tool",
}


def operation_of(surface: Surface) -> str:
    """``gen_ai.operation.name``; what the conventions do not know is called as here."""
    return _OPERATIONS.get(surface) or surface.value


def measure_call(
    surface: Surface,
    provider_id: str,
    model: str,
    tokens: TokenUsage,
    *,
    seconds: float,
    first_byte_ms: int | None,
    error: str | None,
    trace: str,
) -> None:
    """Of one call that was made.

    Args:
        model: as the gateway names it.
        first_byte_ms: of a stream.
        error: the status of the refusal, or ``stopped``.
    """
    operation = operation_of(surface)
    OPERATION_DURATION.record(seconds, operation, provider_id, model, error or "", trace=trace)
    if first_byte_ms is not None:
        FIRST_CHUNK.record(first_byte_ms / 1000, operation, provider_id, model, trace=trace)
    for kind, count in (("input", tokens.input_tokens), ("output", tokens.output_tokens)):
        if count:
            TOKEN_USAGE.record(count, operation, provider_id, model, kind, trace=trace)
