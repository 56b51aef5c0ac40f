"""Rows of another gateway's database or API, from a file."""

import csv
import json
from pathlib import Path
from typing import Any

from deploy.local.errors import StackError

MOST_BYTES = 64 * 1024 * 1024
_LISTS = ("data", "keys", "teams", "users")


def rows_of(file: Path | None) -> list[dict[str, Any]]:
    """JSON (a list, or an object that holds one as APIs do) or, by the file's name, CSV with a head line.

    Raises:
        StackError: it is neither, or too large.
    """
    if file is None:
        return []
    if file.stat().st_size > MOST_BYTES:
        raise StackError(f"{file} has more than {MOST_BYTES} bytes")
    try:
        if file.suffix == ".csv":
            with file.open(newline="") as lines:
                return [{name: _value(text) for name, text in row.items()} for row in csv.DictReader(lines)]
        content = json.loads(file.read_text())
    except (ValueError, csv.Error) as error:
        raise StackError(f"{file} cannot be read: {error}") from None
    if isinstance(content, dict):
        content = next((content[name] for name in _LISTS if isinstance(content.get(name), list)), None)
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise StackError(f"{file} holds no list of rows")
    return content


def _value(text: str | None) -> Any:
    """PostgreSQL's CSV: nothing is NULL, ``{a,b}`` a list, ``t`` and ``f`` booleans, JSON as it is."""
    if text is None or text == "":
        return None
    if text in ("t", "f"):
        return text == "t"
    if text[0] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            return [one.strip('"') for one in text.strip("{}").split(",") if one]
    return text
