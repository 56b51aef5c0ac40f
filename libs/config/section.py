"""What all sections of the configuration are: typed, frozen, and without a word that nobody reads."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the configuration file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
