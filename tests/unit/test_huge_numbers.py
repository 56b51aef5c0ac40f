"""Numbers of thousands of digits, from clients and from providers: what comes of them can be read and booked."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from contracts.decoding import decode
from contracts.prompts import PromptSubmitted
from contracts.quantities import Quantity, Unit
from contracts.requests import Surface
from contracts.topics import REQUESTS
from contracts.usage import TokenUsage
from libs.chat.providers.anthropic_messages.usage import parse_usage as of_messages
from libs.chat.providers.gemini.usage import parse_usage as of_gemini
from libs.chat.providers.openai_chat.usage import parse_usage as of_chat
from libs.chat.providers.openai_responses.usage import parse_usage as of_responses
from libs.config.catalog import Catalog
from libs.config.providers import Model, Provider
from libs.endpoints.endpoint import tokens_of
from services.ingress.core.bodies import parse
from services.ingress.core.errors import IngressError
from tests.unit.arrivals import let_in
from tests.unit.records import Config

DIGITS = "9" * 5_000
HUGE = (2**31, 2**53, 2**63, 2**64, 10**300, int("9" * 4_000))
MESSAGES = [{"role": "user", "content": "hi"}]
BODIES: dict[Surface, dict[str, Any]] = {
    Surface.CHAT_COMPLETIONS: {"messages": MESSAGES},
    Surface.RESPONSES: {"input": "hi"},
    Surface.MESSAGES: {"messages": MESSAGES, "max_tokens": 9},
    Surface.EMBEDDINGS: {"input": "hi"},
    Surface.FIM: {"prompt": "hi"},
    Surface.COMPLETIONS: {"prompt": "hi"},
    Surface.MODERATIONS: {"input": "hi"},
    Surface.IMAGE_GENERATIONS: {"prompt": "hi"},
    Surface.SPEECH: {"input": "hi", "voice": "v"},
    Surface.RERANK: {"query": "hi", "documents": ["a"]},
}
FIELDS = (
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "best_of",
    "seed",
    "temperature",
    "dimensions",
    "top_n",
    "top_logprobs",
    "partial_images",
    "output_compression",
    "max_tokens_per_doc",
    "speed",
    "thinking",
    "provider",
)
CATALOG = Catalog(
    Config(
        providers={"p": Provider(base_url="http://x")},
        models=[Model(id="a/b", provider="p", upstream_model="u")],
    )
)


def _accepted(surface: Surface, raw: bytes) -> None:
    """The record of a request that was not refused can be read again."""
    record = let_in(parse(surface, raw), CATALOG, prompt_bytes=len(raw))
    assert decode(REQUESTS, record.encode(), []) == record
    assert record.output_tokens_most < 2**50
    PromptSubmitted.decode(raw, record.request_id)


@pytest.mark.parametrize("surface", BODIES)
@pytest.mark.parametrize("field", FIELDS)
def test_a_request_is_refused_or_its_record_can_be_read(surface: Surface, field: str) -> None:
    # As text: Python itself writes no more than 4,300 digits.
    for digits in (*map(str, HUGE), DIGITS):
        for text in (digits, f"-{digits}", f'{{"budget_tokens":{digits},"max_price":{{"prompt":{digits}}}}}'):
            rest = {name: value for name, value in BODIES[surface].items() if name != field}
            raw = orjson.dumps({"model": "a/b", **rest})[:-1] + f',"{field}":{text}}}'.encode()
            try:
                _accepted(surface, raw)
            except IngressError as error:
                assert error.status in (400, 413, 422)


def test_many_prompts_of_many_choices_are_refused_or_bounded() -> None:
    body = {"model": "a/b", "prompt": ["a"] * 90_000, "n": 128, "max_tokens": 2**31 - 1}
    with pytest.raises(IngressError):
        _accepted(Surface.COMPLETIONS, orjson.dumps(body))


@pytest.mark.parametrize("huge", [*HUGE[1:], -1, True], ids=lambda huge: f"{len(str(huge))}-digits")
def test_counts_of_a_provider_that_make_no_sense_are_none(huge: int) -> None:
    answers: list[TokenUsage | None] = [
        of_chat({"prompt_tokens": huge, "completion_tokens": 1}),
        of_chat({"prompt_tokens": 1, "completion_tokens": huge}),
        of_chat({"prompt_tokens": 1, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": huge}}),
        of_responses({"input_tokens": 1, "output_tokens": huge}),
        of_responses({"input_tokens": 1, "output_tokens": 1, "input_tokens_details": {"cached_tokens": huge}}),
        of_messages({"input_tokens": huge, "output_tokens": 1}),
        of_messages({"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": huge}),
        of_gemini({"promptTokenCount": 1, "candidatesTokenCount": huge}),
        of_gemini({"promptTokenCount": 1, "promptTokensDetails": [{"modality": "IMAGE", "tokenCount": huge}]}),
        tokens_of({"usage": {"input_tokens": huge, "output_tokens": 1}}),
        tokens_of({"usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": huge}}}),
    ]
    for usage in answers:
        assert usage is None or max(usage.model_dump().values()) <= 1


def test_no_record_can_be_made_of_a_count_that_the_ledger_has_no_column_for() -> None:
    for huge in HUGE[1:]:
        with pytest.raises(ValidationError):
            TokenUsage(input_tokens=huge)
        with pytest.raises(ValidationError):
            Quantity(unit=Unit.IMAGE, amount=huge)
