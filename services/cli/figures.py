"""What two readings of all services' metrics say of the time between them. Pure: text and seconds in, figures out."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*?)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
Series = tuple[str, frozenset[tuple[str, str]]]
Reading = Mapping[Series, float]


def read(pages: Iterable[bytes]) -> Reading:
    """The sums of all pages (OpenMetrics), series by series."""
    found: Counter[Series] = Counter()
    for page in pages:
        for line in page.decode().splitlines():
            if not line.startswith("#") and (sample := _SAMPLE.match(line)):
                labels = frozenset(_LABEL.findall(sample[2] or ""))
                found[sample[1], labels] += float(sample[3])  # type: ignore[assignment]
    return found


@dataclass(frozen=True, slots=True)
class Figures:
    """Rates are by second, times in milliseconds, money in US dollars by hour."""

    requests_per_s: float
    errors_per_s: float
    """Answers of 500 and above."""
    p50_ms: float | None
    p95_ms: float | None
    """Upper bounds of buckets; None where no request ended."""
    sheds_per_s: float
    usd_per_h: float
    waiting: int
    pending_joins: int
    dead_letters: int
    """Since the services began."""
    lag: dict[str, int]
    """By consumer group."""
    models: list[dict[str, Any]]
    """The busiest."""
    keys: list[dict[str, Any]]
    """Quotas of the gateway's own keys at providers: what share was used of each, the fullest first."""


def figures(before: Reading, after: Reading, seconds: float) -> Figures:
    """What happened in between; a service that began anew meanwhile counts from its start."""

    def grown(name: str) -> dict[frozenset[tuple[str, str]], float]:
        return {
            labels: value - (before.get((found, labels), 0) if value >= before.get((found, labels), 0) else 0)
            for (found, labels), value in after.items()
            if found == name
        }

    def rate(name: str, **only: str) -> float:
        wanted = only.items()
        return sum(value for labels, value in grown(name).items() if wanted <= dict(labels).items()) / seconds

    def now(name: str) -> float:
        return sum(value for (found, _), value in after.items() if found == name)

    answered = grown("http_server_request_duration_seconds_count")
    failed = sum(value for labels, value in answered.items() if dict(labels)["http_response_status_code"] >= "500")
    buckets = grown("http_server_request_duration_seconds_bucket")
    lag: Counter[str] = Counter()
    for (name, labels), value in after.items():
        if name == "sluice_consumer_lag":
            lag[dict(labels)["messaging_consumer_group_name"]] += int(value)
    return Figures(
        requests_per_s=round(sum(answered.values()) / seconds, 1),
        errors_per_s=round(failed / seconds, 1),
        p50_ms=_quantile(buckets, 0.5),
        p95_ms=_quantile(buckets, 0.95),
        sheds_per_s=round(rate("sluice_sheds_total"), 1),
        usd_per_h=round(rate("sluice_cost_microdollars_total") * 3600 / 1e6, 4),
        waiting=int(now("sluice_requests_waiting")),
        pending_joins=int(now("sluice_joins_pending")),
        dead_letters=int(now("sluice_dead_letters_total")),
        lag=dict(sorted(lag.items())),
        models=_models(grown("sluice_requests_total"), seconds),
        keys=_keys(after),
    )


def _keys(after: Reading) -> list[dict[str, Any]]:
    """Several vaults say the same of both, so the share of the sums is that of each."""
    shares = {
        labels: after.get(("sluice_provider_key_used", labels), 0) / most if most else 1.0
        for (name, labels), most in after.items()
        if name == "sluice_provider_key_quota"
    }
    by_share = sorted(shares.items(), key=itemgetter(1), reverse=True)
    return [
        {
            "provider": labels["gen_ai_provider_name"],
            "key": labels["sluice_provider_variable"],
            "quota": labels["sluice_meter"],
            "used": f"{share:.1%}",
        }
        for labels, share in ((dict(labels), share) for labels, share in by_share)
    ]


def _quantile(buckets: Mapping[frozenset[tuple[str, str]], float], part: float) -> float | None:
    by_bound: Counter[float] = Counter()
    for labels, count in buckets.items():
        by_bound[float(dict(labels)["le"])] += count  # type: ignore[assignment]
    whole = max(by_bound.values(), default=0)
    bounds = sorted(by_bound)
    if not whole:
        return None
    bound = next(bound for bound in bounds if by_bound[bound] >= part * whole)
    return round((bounds[-2] if bound == float("inf") else bound) * 1000)


def _models(requests: Mapping[frozenset[tuple[str, str]], float], seconds: float) -> list[dict[str, Any]]:
    counts: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for labels, value in requests.items():
        found = dict(labels)
        counts[found["gen_ai_request_model"]] += value  # type: ignore[assignment]
        if found["http_response_status_code"] >= "500":
            failed[found["gen_ai_request_model"]] += value  # type: ignore[assignment]
    return [
        {"model": model, "requests_per_s": round(count / seconds, 1), "errors_per_s": round(failed[model] / seconds, 1)}
        for model, count in counts.most_common(8)
        if count
    ]
