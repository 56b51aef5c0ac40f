"""Counts of tokens in Gemini's shape. Pure."""

from contracts.usage import TokenUsage, plausible


def parse_usage(usage: object) -> TokenUsage | None:
    """Thoughts stand beside the candidates' tokens, and tools' prompts beside the prompt's; ours hold them."""
    if not isinstance(usage, dict):
        return None
    names = ("promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    counts = [usage.get(name) or 0 for name in (*names, "cachedContentTokenCount")]
    if usage.get("promptTokenCount") is None or not all(plausible(n) for n in counts):
        return None
    prompt, tools, text, thought, cached = counts
    read, written = _modalities(usage.get("promptTokensDetails")), _modalities(usage.get("candidatesTokensDetails"))
    return TokenUsage(
        input_tokens=prompt + tools,
        output_tokens=text + thought,
        cache_read_tokens=cached,
        reasoning_tokens=thought,
        input_image_tokens=read.get("IMAGE", 0),
        output_image_tokens=written.get("IMAGE", 0),
        input_audio_tokens=read.get("AUDIO", 0),
        output_audio_tokens=written.get("AUDIO", 0),
    )


def _modalities(details: object) -> dict[str, int]:
    return {
        str(one.get("modality")): one["tokenCount"]
        for one in (details if isinstance(details, list) else ())
        if isinstance(one, dict) and plausible(one.get("tokenCount"))
    }
