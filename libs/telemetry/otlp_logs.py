"""Log lines by OTLP, beside those on stderr: the same fields, and the trace that they belong to."""

import logging
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import TraceFlags

from libs.telemetry.ending import shut_down_within

_SEVERITY = {
    logging.DEBUG: SeverityNumber.DEBUG,
    logging.INFO: SeverityNumber.INFO,
    logging.WARNING: SeverityNumber.WARN,
    logging.ERROR: SeverityNumber.ERROR,
    logging.CRITICAL: SeverityNumber.FATAL,
}
_OWN = ("opentelemetry", "urllib3", "requests")
"""Who logs while it sends: its lines would beget lines."""


class OtlpHandler(logging.Handler):
    """Sends what `configure_logs` lets through."""

    def __init__(self, resource: Resource) -> None:
        super().__init__()
        self._provider = LoggerProvider(resource, shutdown_on_exit=False)
        self._exporter = OTLPLogExporter()
        self._provider.add_log_record_processor(BatchLogRecordProcessor(self._exporter))
        self._closed = False
        self.addFilter(lambda record: not record.name.startswith(_OWN))
        self._logger = self._provider.get_logger("sluice")

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the handler's lock, which `logging` holds while it closes: whoever is to send what is left may log
        itself, and each would wait for the other until the provider gives up (30 s)."""
        kept = bool(self.filter(record))
        if kept:
            self.emit(record)
        return kept

    def emit(self, record: logging.LogRecord) -> None:
        """Queues a line, from any thread."""
        fields: dict[str, Any] = dict(record.msg) if isinstance(record.msg, dict) else {"event": record.getMessage()}
        trace_id, span_id = fields.pop("trace_id", None), fields.pop("span_id", None)
        body = str(fields.pop("event", ""))
        for name in ("timestamp", "level"):
            fields.pop(name, None)
        self._logger.emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                severity_number=_SEVERITY.get(record.levelno, SeverityNumber.UNSPECIFIED),
                severity_text=record.levelname,
                body=body,
                trace_id=int(trace_id, 16) if trace_id else None,
                span_id=int(span_id, 16) if span_id else None,
                trace_flags=TraceFlags(TraceFlags.SAMPLED) if trace_id else None,
                attributes={name: _plain(value) for name, value in fields.items() if not name.startswith("_")},
            )
        )

    def close(self) -> None:
        """Sends what is left; `logging` calls it again when the interpreter ends."""
        if not self._closed:
            self._closed = True
            shut_down_within(self._provider.shutdown, self._exporter.shutdown)
        super().close()


def _plain(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else str(value)
