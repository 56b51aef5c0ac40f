"""A small OTLP receiver (HTTP, protobuf) that keeps spans in memory: the demo's time line is made from them."""

import gzip
from collections import defaultdict, deque
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

MOST_TRACES = 1_000


@dataclass(frozen=True, slots=True)
class Span:
    """A finished span; times are epoch nanoseconds."""

    service: str
    name: str
    start_ns: int
    end_ns: int


class TraceCollector:
    """Takes ``POST /v1/traces`` and answers for one trace ID (hex) which spans it has."""

    def __init__(self) -> None:
        self._spans: dict[str, list[Span]] = defaultdict(list)
        self._order: deque[str] = deque()

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(routes=[Route("/v1/traces", self._take, methods=["POST"])])

    def trace(self, trace_id: str) -> list[Span]:
        """The spans that arrived so far, by their start."""
        return sorted(self._spans.get(trace_id, []), key=lambda span: span.start_ns)

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        export = ExportTraceServiceRequest.FromString(body)
        for resource in export.resource_spans:
            attributes = {item.key: item.value.string_value for item in resource.resource.attributes}
            service = attributes.get("service.name", "?").removeprefix("sluice-")
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
        return Response(b"", media_type="application/x-protobuf")
