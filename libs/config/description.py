"""What clients read about a model, in the words of OpenRouter's Models API, which their parsers know.

Source: OpenRouter's documentation, "Models", API response schema.
"""

from datetime import UTC, date, datetime
from typing import Literal

from pydantic import Field

from libs.config.section import Section

InputModality = Literal["text", "image", "file", "audio", "video"]
OutputModality = Literal["text", "image", "audio", "embeddings"]


class Description(Section):
    """A model in the list of models."""

    name: str | None = None
    description: str = ""
    released: date | None = None
    context_length: int | None = Field(default=None, gt=0)
    """Tokens of question and answer together."""
    max_completion_tokens: int | None = Field(default=None, gt=0)
    """The most tokens that the model can answer with."""
    input_modalities: list[InputModality] = []
    """Empty: what the model's surfaces take."""
    output_modalities: list[OutputModality] = []
    """Empty: what the model's surfaces give."""
    tokenizer: str = "Other"
    """The family of tokenizers, as OpenRouter names it."""
    preferred_index: int | None = Field(default=None, ge=0)
    """Its place among the models that a client recommends; None: not among them."""
    moderated: bool = False
    """The provider refuses prompts that its filter dislikes."""

    @property
    def created_s(self) -> int:
        """The release, as epoch seconds; 0 where it is not known."""
        day = self.released
        return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) if day else 0
