"""What a client names its requests by, for its own reports. Providers are sent none of it but what they always were."""

from typing import Annotated

from pydantic import Field

from .record import Value, empty

MOST_TAGS = 16
MOST_TAG = 64
MOST_CUSTOMER = 256
MOST_PAIRS = 16
MOST_NAME = 64
MOST_VALUE = 512
"""Characters, but for counts: of metadata as many as OpenAI takes."""


class Labels(Value):
    """Who and what a request was for, in the client's own words. They decide nothing."""

    tags: Annotated[list[Annotated[str, Field(max_length=MOST_TAG)]], Field(max_length=MOST_TAGS)] = empty(list)
    """Each once, in the client's order."""
    customer: Annotated[str, Field(max_length=MOST_CUSTOMER)] | None = None
    """The client's own user or customer that it asked for."""
    metadata: Annotated[
        dict[Annotated[str, Field(max_length=MOST_NAME)], Annotated[str, Field(max_length=MOST_VALUE)]],
        Field(max_length=MOST_PAIRS),
    ] = empty(dict)
