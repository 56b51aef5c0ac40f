"""The text that Prometheus scrapes: OpenMetrics 1.0, with exemplars. Pure."""

from collections.abc import Iterable, Iterator

from libs.telemetry.metrics import Counter, Distribution, Exemplar, Gauge, Histogram, Instrument, Labels

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_UNITS = {"s": "seconds", "By": "bytes"}
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def prometheus_name(instrument: Instrument) -> str:
    """The metric's name without suffix, as OpenTelemetry's compatibility specification makes it."""
    name, unit = sanitized(instrument.name), _UNITS.get(instrument.unit)
    return f"{name}_{unit}" if unit and not name.endswith(unit) else name


def sanitized(name: str) -> str:
    """A name of OpenTelemetry as Prometheus takes it."""
    return name.replace(".", "_")


def expose(instruments: Iterable[Instrument], resource: dict[str, str]) -> str:
    """All series.

    Args:
        resource: who exposes them: the labels of ``target_info``.
    """
    lines = ["# TYPE target info", f"target_info{_braces(tuple(map(sanitized, resource)), tuple(resource.values()))} 1"]
    for instrument in instruments:
        lines += _family(instrument)
    return "\n".join((*lines, "# EOF\n"))


def _family(instrument: Instrument) -> Iterator[str]:
    name, names = prometheus_name(instrument), tuple(map(sanitized, instrument.labels))
    kind = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}[type(instrument)]
    yield f"# TYPE {name} {kind}"
    if (unit := _UNITS.get(instrument.unit)) is not None:
        yield f"# UNIT {name} {unit}"
    yield f"# HELP {name} {instrument.description.translate(_ESCAPED)}"
    if isinstance(instrument, Histogram):
        for labels, series in list(instrument.series.items()):
            yield from _distribution(name, names, labels, series, instrument.bounds)
    elif isinstance(instrument, Counter | Gauge):
        suffix = "_total" if kind == "counter" else ""
        for labels, value in list(instrument.series.items()):
            yield f"{name}{suffix}{_braces(names, labels)} {_number(value)}"


def _distribution(
    name: str, names: Labels, labels: Labels, series: Distribution, bounds: tuple[float, ...]
) -> Iterator[str]:
    count = 0
    for index, bound in enumerate((*map(_number, bounds), "+Inf")):
        count += series.counts[index]
        braces = _braces((*names, "le"), (*labels, bound))
        yield f"{name}_bucket{braces} {count}{_exemplar(series.exemplars.get(index))}"
    yield f"{name}_sum{_braces(names, labels)} {_number(series.sum)}"
    yield f"{name}_count{_braces(names, labels)} {count}"


def _exemplar(found: Exemplar | None) -> str:
    if found is None:
        return ""
    return f' # {{trace_id="{found.trace_id}",span_id="{found.span_id}"}} {_number(found.value)} {found.at_s:.3f}'


def _braces(names: Labels, values: Labels) -> str:
    pairs = [f'{name}="{value.translate(_ESCAPED)}"' for name, value in zip(names, values, strict=True)]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _number(value: float) -> str:
    return repr(float(value))
