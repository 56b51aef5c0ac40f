"""One trace a request, through HTTP and both sides of Kafka.

The W3C ``traceparent`` travels as a string in record headers. An unsampled request costs no span object: its header
is handed on as it came. A step that fails is kept all the same, as a span that is made at its end. Names follow
OpenTelemetry's semantic conventions (messaging, gen_ai).
"""

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from contracts.record import Refusal
from libs.telemetry.ending import shut_down_within
from libs.telemetry.exported import is_exported
from libs.telemetry.resource import resource

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider

Attributes = Mapping[str, str | int | float | bool]

_SAMPLED = frozenset("13579bdf")
"""Last digits of headers whose flag ``sampled``, the lowest bit, is set. Most are not, and not parsed for it."""
_NO_CONTEXT = Context()
MOST_FAILURES = 20
"""Spans a second of failed steps whose requests are not sampled: an outage is to be seen, and not to be made worse."""

_propagator = TraceContextTextMapPropagator()
_provider: "TracerProvider | None" = None
_exporter: "OTLPSpanExporter | None" = None
_tracer: trace.Tracer | None = None


def configure_tracing(service: str) -> None:
    """Exports spans to ``OTEL_EXPORTER_OTLP_ENDPOINT``; without it, only the header travels."""
    global _exporter, _provider, _tracer
    if not is_exported("TRACES"):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    _exporter = OTLPSpanExporter()
    _provider = TracerProvider(resource=resource(service), shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(_exporter, schedule_delay_millis=500))
    _tracer = _provider.get_tracer("sluice")


def shutdown_tracing() -> None:
    """Exports what is left."""
    if _provider and _exporter:
        shut_down_within(_provider.shutdown, _exporter.shutdown)


def _extract(traceparent: str) -> Context | None:
    """The context of a W3C header; None where the header is unsound (Trace Context, section 3.2)."""
    context = _propagator.extract({"traceparent": traceparent}, _NO_CONTEXT)
    return None if context is _NO_CONTEXT else context


def _header(span: SpanContext) -> str:
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def new_traceparent(sample_ratio: float, incoming: str | None = None) -> str:
    """The header of a request that enters Sluice, in the form of version 00: its client's if sound, else a new one.

    Args:
        sample_ratio: the share of requests without a client's header that are sampled, 0 to 1.
        incoming: what the client sent.
    """
    if incoming and (context := _extract(incoming)):
        return _header(trace.get_current_span(context).get_span_context())
    random = secrets.token_bytes(24)
    sampled = sample_ratio > 0 and int.from_bytes(random[:4], "big") < sample_ratio * 2**32
    return f"00-{random[:16].hex()}-{random[16:].hex()}-{'01' if sampled else '00'}"


@contextmanager
def batch_span(name: str, parents: Iterable[str]) -> Iterator[None]:
    """A span of what is done once for many requests: a trace of its own, with a link to each sampled one.

    Without a sampled request, or without an exporter, there is none.

    Args:
        name: low-cardinality, e.g. ``metering write``.
        parents: the ``traceparent`` of each request.
    """
    found = [] if _tracer is None else list(_links(parents))
    if _tracer is None or not found:
        yield
        return
    # An exception's text may have what no span has.
    with _tracer.start_as_current_span(
        name, _NO_CONTEXT, links=found, record_exception=False, set_status_on_exception=False
    ):
        yield


def _links(parents: Iterable[str]) -> Iterator[Link]:
    for parent in parents:
        if parent[-1:] in _SAMPLED and (context := _extract(parent)) is not None:
            yield Link(trace.get_current_span(context).get_span_context())


class _Failures:
    """How many failed steps are kept in this second."""

    def __init__(self) -> None:
        self._second = 0
        self._kept = 0

    def take(self, now_ns: int) -> bool:
        """Counts one in; False: there are enough."""
        second = now_ns // 1_000_000_000
        if second != self._second:
            self._second, self._kept = second, 0
        self._kept += 1
        return self._kept <= MOST_FAILURES


_failures = _Failures()


class Step:
    """One service's part of a trace. Costs a few references where the request is not sampled."""

    __slots__ = ("_attributes", "_kind", "_name", "_span", "_started_ns", "traceparent")

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
        if _tracer is None:
            return
        self._name, self._kind, self._attributes = name, kind, attributes
        self._started_ns = started_ns or time.time_ns()
        if parent[-1:] in _SAMPLED and (context := _extract(parent)) is not None:
            self._span = self._begin(_tracer, context)
            self.traceparent = _header(self._span.get_span_context())

    def _begin(self, tracer: trace.Tracer, context: Context) -> trace.Span:
        attributes = dict(self._attributes) if self._attributes else None
        return tracer.start_span(
            self._name, context, kind=self._kind, attributes=attributes, start_time=self._started_ns
        )

    def note(self, attributes: Attributes) -> None:
        """Adds attributes. Never give it a prompt, a key or a header."""
        if self._span:
            self._span.set_attributes(dict(attributes))
        elif _tracer is not None:
            self._attributes = {**(self._attributes or {}), **attributes}

    def note_refusal(self, refusal: Refusal | None) -> None:
        """Notes the HTTP status with which a request is refused, if it is."""
        if refusal is not None:
            self.note({"sluice.refusal.status": refusal.status})

    def end(self, error: str | None = None) -> None:
        """Ends the step.

        Args:
            error: a short class of failure, or an HTTP status. It is kept though the request is not sampled,
                unless it is the client's own (400 to 499).
        """
        span = self._span
        if span is None and error and _tracer is not None and not ("400" <= error < "500"):
            # The parent's header with the flag: all that failed of one request is one trace.
            context = _extract(f"{self.traceparent[:-1]}1")
            if context is not None and _failures.take(time.time_ns()):
                span = self._begin(_tracer, context)
        if span:
            if error:
                span.set_attribute("error.type", error)
                span.set_status(Status(StatusCode.ERROR))
            span.end()
