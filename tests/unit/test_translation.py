"""What becomes of each field: the page says what the code does, and nothing is lost in silence."""

import pytest

from contracts.requests import Surface
from deploy.local.home import ROOT
from libs.chat.reference import ROWS, SOURCES, Row
from libs.chat.surfaces.registry import DIALECTS
from libs.chat.table import document, fate
from libs.config.providers import ProtocolName

ALL: tuple[ProtocolName, ...] = (
    "openai-chat",
    "openai-responses",
    "anthropic-messages",
    "gemini",
    "bedrock-converse",
)
HINTS = {"`metadata`", "`prompt_cache_key`", "`safety_identifier`", "`user`"}
"""They ask for nothing that an answer has."""
DONE_HERE = {"`echo`"}
"""The gateway adds it to the answer (`test_completions`)."""
FOR_ONE_MODEL = "thought"
"""Only the model that had it can read it; another is not shown it."""
UNASKED = "`cache_control`"
"""OpenAI and Google cache without it."""
ROWS_OF_ALL = [(surface, row) for surface, rows in ROWS.items() for row in rows]


def test_the_page_says_what_the_code_does() -> None:
    assert (ROOT / "docs" / "translation.md").read_text() == document(), "run ./sluice contracts"


@pytest.mark.parametrize(("surface", "row"), ROWS_OF_ALL, ids=lambda one: one.name if isinstance(one, Row) else one)
def test_nothing_is_lost_in_silence(surface: Surface, row: Row) -> None:
    for protocol in ALL:
        if fate(surface, protocol, row) == "no effect":
            assert row.name in HINTS | DONE_HERE or FOR_ONE_MODEL in row.name or row.name.startswith(UNASKED), protocol


def test_every_field_that_a_surface_understands_is_in_the_table() -> None:
    for surface, rows in ROWS.items():
        named = {name for row in rows for name in (*row.fields, *row.beside)}
        missing = DIALECTS[surface].understood - named - {"model", "stream", "store", "max_tokens", "max_output_tokens"}
        assert missing <= {"input", "messages", "prompt", "stream_options", "tool_choice", "output_format"}, surface


def test_the_documents_of_every_rule_are_named() -> None:
    assert set(SOURCES) == {*ROWS, *ALL}
