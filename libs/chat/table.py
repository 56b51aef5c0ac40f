"""What becomes of each field of each surface at each protocol, asked of the code. Pure.

``./sluice contracts`` writes it to `docs/translation.md`.
"""

from collections.abc import Iterator
from typing import Literal

from contracts.requests import Surface
from libs.chat.exact_json import decode, encode
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call, Outgoing
from libs.chat.providers.registry import ADAPTERS
from libs.chat.reference import LEAST, ROWS, SOURCES, Row
from libs.chat.shapes.completion import JsonObject
from libs.chat.surfaces.writer import SurfaceError
from libs.config.providers import ProtocolName, Provider

Fate = Literal["kept", "translated", "dropped", "refused", "no effect"]
INTRODUCTION = """# What becomes of each field

Written by `./sluice contracts`, which asks the code; a test compares.

- **kept**: sent as it is.
- **translated**: sent in the protocol's own words.
- **dropped**: not sent, and named in `x-sluice-dropped`.
- **refused**: a 400 that names it.
- **no effect**: nothing is sent and nothing is named: it changes no answer (`metadata`), the protocol does it unasked
  (caching at OpenAI), the gateway does it (`echo`), or it is a thought that only another provider's model can read.

A provider that takes less than its protocol has says so in the configuration (`unsupported`, `fields`, `message_fields`
in [providers.md](providers.md)); such fields are dropped too. Where a provider speaks the client's surface, everything
is kept: the columns in which nearly all is `kept`.
"""


def fate(surface: Surface, protocol: ProtocolName, row: Row) -> Fate:
    """What becomes of a field, or of a form of content."""
    least = _outgoing(surface, protocol, row.beside)
    try:
        sent = _outgoing(surface, protocol, {**row.beside, **row.fields})
    except SurfaceError:
        return "refused"
    if set(sent.dropped) - set(least.dropped):
        return "dropped"
    if sent.content == least.content:
        return "no effect"
    return "kept" if _holds(sent.content, row) else "translated"


def _outgoing(surface: Surface, protocol: ProtocolName, fields: JsonObject) -> Outgoing:
    body = {"model": "a/b", **LEAST[surface], **fields}
    call = Call(surface, body, "a/b", "gemini-3-pro", False, cap_tokens=None, most_tokens=9, created_s=0)
    return exchange(call, Provider(base_url="http://x", protocol=protocol)).outgoing


def _holds(content: bytes, row: Row) -> bool:
    if row.piece is not None:
        return encode(row.piece).encode() in content
    sent = decode(content)
    return all(name in sent and sent[name] == value for name, value in row.fields.items())


def document() -> str:
    """The page."""
    return INTRODUCTION + "".join("".join(_section(surface)) for surface in ROWS) + "".join(_sources())


def _section(surface: Surface) -> Iterator[str]:
    yield f"\n## {surface.value}\n\n"
    yield f"| | {' | '.join(ADAPTERS)} |\n|---|{'---|' * len(ADAPTERS)}\n"
    for row in ROWS[surface]:
        yield f"| {row.name} | {' | '.join(fate(surface, protocol, row) for protocol in ADAPTERS)} |\n"


def _sources() -> Iterator[str]:
    yield "\n## Where the rules are written\n\n| | |\n|---|---|\n"
    for name, source in SOURCES.items():
        yield f"| {name.value if isinstance(name, Surface) else name} | {'; '.join(source)} |\n"
