"""One trace a request, through HTTP and both sides of Kafka.

The W3C ``traceparent`` travels as a string in record headers. An unsampled request costs no span object: its header
is handed on as it came. Names follow OpenTelemetry's semantic conventions (messaging, gen_ai).
"""

import os
import secrets
import time
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

Attributes = Mapping[str, str | int | float | bool]

_provider: TracerProvider | None = None
_tracer: trace.Tracer | None = None


def configure_tracing(service: str) -> None:
    """Exports spans where ``OTEL_EXPORTER_OTLP_ENDPOINT`` says; without it, only the header travels."""
    global _provider, _tracer
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    _provider = TracerProvider(
        resource=Resource.create({"service.name": f"sluice-{service}", "service.namespace": "sluice"})
    )
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=500))
    _tracer = _provider.get_tracer("sluice")


def shutdown_tracing() -> None:
    """Exports what is left."""
    if _provider:
        _provider.shutdown()


def parse(traceparent: str) -> SpanContext | None:
    """Reads a W3C header; None where it is not one (Trace Context, section 3.2)."""
    parts = traceparent.split("-")
    if len(parts) != 4 or [len(part) for part in parts] != [2, 32, 16, 2] or parts[0] == "ff":
        return None
    try:
        context = SpanContext(
            int(parts[1], 16), int(parts[2], 16), is_remote=True, trace_flags=TraceFlags(int(parts[3], 16))
        )
    except ValueError:
        return None
    return context if context.is_valid else None


def new_traceparent(sample_ratio: float, incoming: str | None = None) -> str:
    """The header of a request that enters Sluice: its client's if it sent a sound one, else a new one.

    Args:
        sample_ratio: the share of requests without a client's header that are sampled, 0 to 1.
        incoming: what the client sent.
    """
    if incoming and parse(incoming):
        return incoming
    random = secrets.token_bytes(24)
    sampled = sample_ratio > 0 and int.from_bytes(random[:4], "big") < sample_ratio * 2**32
    return f"00-{random[:16].hex()}-{random[16:].hex()}-{'01' if sampled else '00'}"


class Step:
    """One service's part of a trace. Costs a string where the request is not sampled."""

    __slots__ = ("_span", "traceparent")

    def __init__(
        self,
        name: str,
        parent: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        started_ns: int | None = None,
    ) -> None:
        """
        Args:
            name: low-cardinality, e.g. ``policy decide``.
            parent: the ``traceparent`` that came with the record or request.
            started_ns: epoch nanoseconds, where the step began before this object was made.
        """
        self._span: trace.Span | None = None
        self.traceparent = parent
        if _tracer is None or not parent.endswith("1"):
            return
        context = parse(parent)
        if context is None:
            return
        self._span = _tracer.start_span(
            name,
            trace.set_span_in_context(NonRecordingSpan(context)),
            kind=kind,
            attributes=dict(attributes) if attributes else None,
            start_time=started_ns or time.time_ns(),
        )
        own = self._span.get_span_context()
        self.traceparent = f"00-{own.trace_id:032x}-{own.span_id:016x}-01"

    def note(self, attributes: Attributes) -> None:
        """Adds attributes. Never give it a prompt, a key or a header."""
        if self._span:
            self._span.set_attributes(dict(attributes))

    def note_refusal(self, status: int | None) -> None:
        """Notes the HTTP status with which a request is refused, if it is."""
        if status is not None:
            self.note({"sluice.refusal.status": status})

    def end(self, error: str | None = None) -> None:
        """Ends the step; ``error`` is a short class of failure."""
        if self._span:
            if error:
                self._span.set_attribute("error.type", error)
                self._span.set_status(Status(StatusCode.ERROR))
            self._span.end()
