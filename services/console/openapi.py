"""``python -m services.console.openapi``: the OpenAPI document of the management API, as it is checked in."""

import json
import sys

from services.console.api import description


def document() -> str:
    """The document as JSON, keys sorted, so that it is the same again."""
    return json.dumps(description(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
