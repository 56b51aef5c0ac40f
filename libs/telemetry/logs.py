"""One JSON object a line on stderr, and by OTLP where a collector is named."""

import logging
import sys
import time
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

from libs.telemetry.exported import is_exported
from libs.telemetry.resource import resource

REPEAT_AFTER_S = 10.0


class _RateLimit(logging.Filter):
    """Drops repetitions of libraries: aiokafka logs an unreachable broker hundreds of times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._logged_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(("aiokafka", "opentelemetry")):
            return True
        now = time.monotonic()
        if now - self._logged_at.get(record.msg, -REPEAT_AFTER_S) < REPEAT_AFTER_S:
            return False
        if len(self._logged_at) > 200:
            self._logged_at.clear()
        self._logged_at[record.msg] = now
        return True


def configure_logs(service: str, level: str = "INFO") -> None:
    """Sends our own logs and those of libraries through one formatter.

    Values that are exceptions are written by type only where a library logs them with arguments; nothing here
    formats request bodies or headers. A line about a request is given its ``traceparent``.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _traced,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                lambda _logger, _name, event: {"service": service, **event},
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    handlers: list[logging.Handler] = [handler]
    if is_exported("LOGS"):
        from libs.telemetry.otlp_logs import OtlpHandler

        handlers.append(OtlpHandler(resource(service)))
    for each in handlers:
        each.addFilter(_RateLimit())
    root = logging.getLogger()
    root.handlers[:] = handlers
    root.setLevel(level)
    for noisy in ("aiokafka", "faststream", "httpx", "uvicorn", "alembic"):
        logging.getLogger(noisy).setLevel("WARNING")
    # The second warns of each header that a client sends too long.
    for warning in ("aiokafka.consumer.group_coordinator", "opentelemetry.trace.propagation"):
        logging.getLogger(warning).setLevel("ERROR")


def _traced(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Puts OpenTelemetry's two IDs in the place of a ``traceparent``."""
    trace = event.pop("traceparent", None)
    if isinstance(trace, str) and len(trace) == 55:
        event["trace_id"], event["span_id"] = trace[3:35], trace[36:52]
    return event


def where(error: BaseException) -> dict[str, object]:
    """An error's type and the lines that it went through, without its message: that may quote a prompt or a key."""
    return {"error": type(error).__name__, "trace": traceback.format_tb(error.__traceback__)[-5:]}
