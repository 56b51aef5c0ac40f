"""Templates, what they may use, and the headers of every page."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from libs.pricing.cost import MILLION
from libs.pricing.usd import dollars
from services.console.answers import time_of
from services.console.core.owners import Owner

_FOLDER = Path(__file__).parent
STATIC = _FOLDER / "static"
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_templates = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(template: str, status: int = 200, **content: Any) -> Response:
    """A page."""
    text = _templates.get_template(template).render(content)
    return HTMLResponse(text, status, headers=SECURITY_HEADERS)


def fragment(template: str, **content: Any) -> str:
    """A part of a page."""
    return _templates.get_template(template).render(content)


def money(microdollars: int) -> str:
    """Dollars, to the cent from one dollar on, and exact below: ``$12.30``, ``$0.000174``."""
    if abs(microdollars) >= MILLION or microdollars == 0:
        return f"{'-' if microdollars < 0 else ''}${abs(microdollars) / MILLION:,.2f}"
    return exact(microdollars)


def exact(microdollars: int) -> str:
    """Dollars to the microdollar, as it is: ``$0.000174``, ``$0.25``."""
    return dollars(microdollars)


def plain_usd(text: str) -> str:
    """An amount as people write it: ``5``, ``0.25``."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def plain_amount(amount: str | int) -> str:
    """A limit's amount, whose dollars are text: ``1,000``, ``$5.00``."""
    return f"{amount:,}" if isinstance(amount, int) else f"${plain_usd(amount)}"


def count(number: int) -> str:
    """With separators."""
    return f"{number:,}"


def milliseconds(number: int | None) -> str:
    """``840 ms``, ``2.4 s``."""
    if number is None:
        return "-"
    return f"{number:,} ms" if number < 1_000 else f"{number / 1_000:.1f} s"


def when(moment: datetime | int | None) -> str:
    """UTC to the second, of a time or epoch milliseconds."""
    if moment is None:
        return "never"
    at = time_of(moment) if isinstance(moment, int) else moment.astimezone(UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S")


def moment(at: datetime) -> str:
    """UTC to the second, of what was this year or a moment ago: ``Nov 27 18:20:49``."""
    return at.astimezone(UTC).strftime("%b %d %H:%M:%S")


def minute(at: datetime | int | None) -> str:
    """UTC to the minute."""
    return when(at)[:16]


def day(at: datetime | int | None) -> str:
    """The UTC day."""
    return when(at)[:10]


def limit_name(name: str) -> str:
    """``usd_per_day`` as people say it."""
    return name.replace("_", " ").replace("usd", "USD")


def within(target: str, owner: Owner | None) -> str:
    """What a change was of, without the organization whose page it is on: ``google`` of ``org:<id>/google``."""
    if owner is None or owner.id not in target:
        return target
    return target.removeprefix("org:").removeprefix(owner.id).strip("/") or "the organization"


def details(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of what was noted of a change; what is in a document is named by itself."""
    found: list[tuple[str, str]] = []
    for name, value in content.items():
        inner = value if isinstance(value, Mapping) else {name: value}
        found += [(limit_name(str(one)), _said(text)) for one, text in inner.items()]
    return found


def _said(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def size(number: int) -> str:
    """Bytes: ``840 bytes``, ``2.4 MB``."""
    for unit, bytes_ in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= bytes_:
            return f"{number / bytes_:.1f} {unit}"
    return f"{number} bytes"


def per_million(rate: int | None) -> str:
    """A rate of the price book: dollars per million tokens."""
    return "-" if rate is None else dollars(rate)


_templates.filters |= {
    "money": money,
    "exact": exact,
    "plain_usd": plain_usd,
    "plain_amount": plain_amount,
    "count": count,
    "ms": milliseconds,
    "when": when,
    "moment": moment,
    "minute": minute,
    "day": day,
    "limit_name": limit_name,
    "within": within,
    "details": details,
    "size": size,
    "per_million": per_million,
}
