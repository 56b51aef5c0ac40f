"""What runs showed, kept in results.json, and the table that docs/clients.md makes of it. Pure."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.clients.clients import CLIENTS, Client

CASES = {
    "chat": "chat",
    "stream": "stream",
    "tools": "tools, the whole loop",
    "parallel": "parallel tools",
    "structured": "structured output",
    "images": "images",
    "thinking": "thinking",
    "errors": "errors",
    "retries": "retries",
    "cancel": "cancel",
    "embeddings": "embeddings",
    "endpoints": "images, sound, stored answers",
    "models": "model list",
}
Results = dict[str, dict[str, Any]]
"""By client: ``digest``, ``cells``; a cell has the models it passed with, why others failed, or why it is absent."""


def collected(output: str) -> dict[str, dict[str, Any]]:
    """The cells of what a program printed; what the client itself prints beside them is no cell."""
    cells: dict[str, dict[str, Any]] = {}
    for line in output.splitlines():
        if not line.startswith('{"case"'):
            continue
        found = json.loads(line)
        cell = cells.setdefault(found["case"], {"passed": [], "failed": {}})
        if found.get("ok"):
            cell["passed"].append(found["model"])
        elif "absent" in found:
            cell["absent"] = found["absent"]
        else:
            cell["failed"][found["model"]] = found["why"]
    return cells


def failures(cells: Mapping[str, dict[str, Any]]) -> list[str]:
    """What failed, a line each."""
    return [f"{case} {model}: {why}" for case, cell in cells.items() for model, why in cell["failed"].items()]


def table(results: Results) -> str:
    """The table and its notes."""
    notes: list[str] = []
    lines = [f"| | {' | '.join(CASES.values())} |", "|---|" + "---|" * len(CASES)]
    for client in CLIENTS:
        if client.name not in results:
            continue
        cells = results[client.name]["cells"]
        lines.append(f"| {_title(client)} | {' | '.join(_marks(cells, notes))} |")
    numbered = [f"{number}. {note}" for number, note in enumerate(notes, start=1)]
    return "\n".join([*lines, "", *numbered]) + "\n"


def _title(client: Client) -> str:
    names = ", ".join(f"`{name}` {version}" for name, version in client.versions().items())
    return f"{names} ({client.note})" if client.note else names


def _marks(cells: Mapping[str, dict[str, Any]], notes: list[str]) -> Iterable[str]:
    for case in CASES:
        cell = cells.get(case)
        if cell is None:
            yield ""
        elif cell["failed"]:
            models, why = ", ".join(f"`{model}`" for model in cell["failed"]), next(iter(cell["failed"].values()))
            yield _noted(
                notes, f"{'fails' if not cell['passed'] else 'fails with'} {models}: {why[:160]}".replace("|", "\\|")
            )
        elif "absent" in cell:
            yield _noted(notes, cell["absent"])
        else:
            yield "✓"


def _noted(notes: list[str], note: str) -> str:
    if note not in notes:
        notes.append(note)
    return f"({notes.index(note) + 1})"
