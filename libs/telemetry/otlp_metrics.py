"""Metrics by OTLP: the same series in OpenTelemetry's form, sent by its exporter."""

import asyncio
import os
import time
from collections.abc import Iterable, Iterator

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics import export as points
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from libs.telemetry import metrics
from libs.telemetry.ending import WITHIN_S
from libs.telemetry.metrics import Counter, Distribution, Gauge, Histogram, Instrument, Labels
from libs.version import VERSION

_SCOPE = InstrumentationScope("sluice", VERSION)
_CUMULATIVE = points.AggregationTemporality.CUMULATIVE


class MetricsExport:
    """Sends all series, now and then."""

    def __init__(self, resource: Resource, instruments: Iterable[Instrument]) -> None:
        self._resource = resource
        self._instruments = tuple(instruments)
        self._began_ns = time.time_ns()
        self._exporter = OTLPMetricExporter()
        self.every_s = float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", "60000")) / 1000
        """Between two exports: OpenTelemetry's variable (ms) and default."""

    async def stop(self) -> None:
        """Sends the last totals; gives up after `WITHIN_S`."""
        giving_up = asyncio.get_running_loop().call_later(WITHIN_S, self._exporter.shutdown)
        await self.send()
        giving_up.cancel()

    async def send(self) -> None:
        """Sends all series once; what a collector does not take now it is given in the next total."""
        data = snapshot(self._instruments, self._resource, self._began_ns, time.time_ns())
        await asyncio.to_thread(self._exporter.export, data, 5_000)


def snapshot(instruments: Iterable[Instrument], resource: Resource, began_ns: int, now_ns: int) -> points.MetricsData:
    """All series in OpenTelemetry's form: totals since the process began."""
    found = [_metric(instrument, began_ns, now_ns) for instrument in instruments]
    scope = points.ScopeMetrics(_SCOPE, [metric for metric in found if metric.data.data_points], "")
    return points.MetricsData([points.ResourceMetrics(resource, [scope], "")])


def _metric(instrument: Instrument, began_ns: int, now_ns: int) -> points.Metric:
    data: points.Sum | points.Gauge | points.Histogram
    if isinstance(instrument, Histogram):
        data = points.Histogram(list(_distributions(instrument, began_ns, now_ns)), _CUMULATIVE)
    elif isinstance(instrument, Counter):
        data = points.Sum(list(_numbers(instrument, began_ns, now_ns)), _CUMULATIVE, is_monotonic=True)
    elif isinstance(instrument, Gauge):
        data = points.Gauge(list(_numbers(instrument, began_ns, now_ns)))
    else:
        raise TypeError(f"{type(instrument).__name__} is no instrument")
    return points.Metric(instrument.name, instrument.description, instrument.unit, data)


def _numbers(instrument: Counter | Gauge, began_ns: int, now_ns: int) -> Iterator[points.NumberDataPoint]:
    for labels, value in list(instrument.series.items()):
        yield points.NumberDataPoint(_attributes(instrument, labels), began_ns, now_ns, value)


def _distributions(instrument: Histogram, began_ns: int, now_ns: int) -> Iterator[points.HistogramDataPoint]:
    for labels, series in list(instrument.series.items()):
        yield points.HistogramDataPoint(
            _attributes(instrument, labels),
            began_ns,
            now_ns,
            sum(series.counts),
            series.sum,
            list(series.counts),
            instrument.bounds,
            # Least and greatest of all time say nothing of now; the buckets do.
            0.0,
            0.0,
            _exemplars(series),
        )


def _exemplars(series: Distribution) -> list[Exemplar]:
    return [
        Exemplar({}, one.value, int(one.at_s * 1e9), int(one.span_id, 16), int(one.trace_id, 16))
        for one in list(series.exemplars.values())
    ]


def _attributes(instrument: metrics.Instrument, labels: Labels) -> dict[str, str]:
    return dict(zip(instrument.labels, labels, strict=True))
