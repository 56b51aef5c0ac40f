"""What a client reads whose request does not fit into a limit, and where all limits stand. Pure."""

from collections.abc import Iterable

from contracts.decisions import QuotaWindow
from contracts.record import Refusal
from libs.config.gateway import Billing
from libs.limits.catalog import BALANCE, CONCURRENT, TOKENS, USD, Window, shown_amount
from libs.pricing.usd import usd
from services.rate_limit.core.book import MEMBER_DAY, Bound, Short, Standing

Metadata = dict[str, str | int | float | bool | None]


def refusal_of(short: Short, billing: Billing, *, organization: bool) -> Refusal:
    """429, or 402 where money is what is short; ``metadata.limit`` is the limit's name."""
    metadata: Metadata = {"limit": name_of(short.bound)}
    if short.bound.meter is not BALANCE:
        metadata |= {"scope": short.bound.scope, "most": shown_amount(short.bound.meter, short.bound.most)}
    if short.bound.meter.quantity is USD:
        return _too_dear(short, metadata, billing, organization=organization)
    return _too_many(short, metadata)


def crowded(most: int) -> Refusal:
    """429 where too many of an owner's requests wait already."""
    message = (
        f"{most} requests of yours wait for others to settle what they hold, and no more may; "
        "try again in a second, or send fewer at a time."
    )
    return Refusal(status=429, message=message, metadata={"limit": "waiting", "most": most}, retry_after_s=1)


def name_of(bound: Bound) -> str:
    """As headers and refusals have it: ``team-usd-month``; of minutes and the moment without a window."""
    scope, meter = bound.scope.partition(" ")[0], bound.meter
    if meter is BALANCE or meter.name == CONCURRENT:
        return f"{scope}-{meter.name}"
    window = "" if meter.window is Window.MINUTE else f"-{meter.window}"
    return f"{scope}-{meter.quantity.name}{window}"


def windows_of(standing: Iterable[Standing], at_ms: int) -> list[QuotaWindow]:
    """Where limits with a window stand; of money in microdollars."""
    return [
        QuotaWindow(
            name=name_of(one.bound),
            limit=one.bound.most,
            window_s=(window.end_ms(at_ms) - window.start_ms(at_ms)) // 1000,
            remaining=max(0, one.left),
            reset_s=_seconds(one.reset_ms),
        )
        for one in standing
        if (window := one.bound.meter.window) is not None
    ]


def _too_dear(short: Short, metadata: Metadata, billing: Billing, *, organization: bool) -> Refusal:
    left, meter = max(0, short.left), short.bound.meter
    metadata |= {"leftMicrodollars": left, "neededMicrodollars": short.needed, "heldMicrodollars": short.held}
    if billing.buy_credits_url and meter is BALANCE:
        metadata["buyCreditsUrl"] = billing.buy_credits_url
    flight = f" {usd(short.held)} USD are held by requests in flight." if short.held else ""
    needs = f"This request can cost up to {usd(short.needed)} USD"
    if meter is BALANCE:
        whose = "your organization's credit" if organization else "your credit"
        message = f"{needs}, and {whose} has {usd(left)} USD left.{flight} Add credit, or ask for a lower `max_tokens`."
        return Refusal(status=402, message=message, metadata=metadata)
    what, until = f"the limit of {usd(short.bound.most)} USD a {meter.window} ({short.bound.scope})", "it begins anew"
    if short.bound.scope.startswith("member ") and meter.name == MEMBER_DAY:
        what, until = "your daily limit", "midnight UTC"
    whose = "your organization's owner" if organization else "its owner"
    retry_after_s = max(1, _seconds(short.reset_ms))
    message = (
        f"{needs}, and {what} has {usd(left)} USD left until {until}.{flight} "
        f"A lower `max_tokens` needs less; {whose} can change the limit."
    )
    return Refusal(status=402, message=message, metadata=metadata, retry_after_s=retry_after_s)


def _too_many(short: Short, metadata: Metadata) -> Refusal:
    bound, wait_s = short.bound, max(1, _seconds(short.reset_ms))
    most, meter = bound.most, bound.meter
    metadata |= {"left": max(0, short.left), "needed": short.needed, "held": short.held}
    if meter.name == CONCURRENT:
        message = f"{most} requests at a time are allowed ({bound.scope}); wait until one has ended."
    elif meter.quantity is TOKENS and short.needed > most:
        message = (
            f"This request can use {short.needed} tokens, and {most} a {meter.window} are allowed ({bound.scope}); "
            "shorten it, or ask for a lower `max_tokens`."
        )
    else:
        message = f"{most} {meter.quantity.name} a {meter.window} are allowed ({bound.scope}); try again in {wait_s} s."
    return Refusal(status=429, message=message, metadata=metadata, retry_after_s=wait_s)


def _seconds(ms: int) -> int:
    return max(0, -(-ms // 1000))
