"""A small OTLP receiver (HTTP, protobuf) that keeps what came in memory: the demo's time line is made from it."""

import gzip
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

MOST_TRACES = 1_000
MOST_LINES = 10_000


_TAKEN = Response(b"", media_type="application/x-protobuf")


@dataclass(frozen=True, slots=True)
class Span:
    """A finished span; times are epoch nanoseconds."""

    service: str
    name: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Line:
    """A log line."""

    service: str
    body: str
    trace_id: str
    attributes: dict[str, str]


class Collector:
    """Takes ``POST /v1/traces``, ``/v1/metrics`` and ``/v1/logs``, and answers which spans a trace ID (hex) has."""

    def __init__(self) -> None:
        self._spans: dict[str, list[Span]] = defaultdict(list)
        self._order: deque[str] = deque()
        self.points: dict[tuple[str, str], list[Any]] = {}
        """The newest data points of a service's metric, in protobuf's form."""
        self.lines: deque[Line] = deque(maxlen=MOST_LINES)

    def application(self) -> Starlette:
        """The ASGI application."""
        takers = {"traces": self._take, "metrics": self._take_metrics, "logs": self._take_logs}
        return Starlette(routes=[Route(f"/v1/{name}", take, methods=["POST"]) for name, take in takers.items()])

    def trace(self, trace_id: str) -> list[Span]:
        """The spans that arrived so far, by their start."""
        return sorted(self._spans.get(trace_id, []), key=lambda span: span.start_ns)

    async def _take(self, request: Request) -> Response:
        for resource in ExportTraceServiceRequest.FromString(await _body(request)).resource_spans:
            service = _service(resource.resource)
            for scope in resource.scope_spans:
                for span in scope.spans:
                    trace_id = span.trace_id.hex()
                    if trace_id not in self._spans:
                        self._order.append(trace_id)
                    self._spans[trace_id].append(
                        Span(service, span.name, span.start_time_unix_nano, span.end_time_unix_nano)
                    )
        while len(self._order) > MOST_TRACES:
            self._spans.pop(self._order.popleft(), None)
        return _TAKEN

    async def _take_metrics(self, request: Request) -> Response:
        for resource in ExportMetricsServiceRequest.FromString(await _body(request)).resource_metrics:
            service = _service(resource.resource)
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                data = getattr(metric, metric.WhichOneof("data"))
                self.points[service, metric.name] = list(data.data_points)
        return _TAKEN

    async def _take_logs(self, request: Request) -> Response:
        for resource in ExportLogsServiceRequest.FromString(await _body(request)).resource_logs:
            service = _service(resource.resource)
            for line in (line for scope in resource.scope_logs for line in scope.log_records):
                attributes = {item.key: item.value.string_value for item in line.attributes}
                self.lines.append(Line(service, line.body.string_value, line.trace_id.hex(), attributes))
        return _TAKEN


async def _body(request: Request) -> bytes:
    body = await request.body()
    return gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body


def _service(resource: Any) -> str:
    attributes: dict[str, str] = {item.key: item.value.string_value for item in resource.attributes}
    return attributes.get("service.name", "?").removeprefix("sluice-")
