"""Log lines by OTLP: what ends a process."""

import logging
from threading import Thread

import pytest
from opentelemetry.sdk.resources import Resource

from libs.telemetry.otlp_logs import OtlpHandler


def test_who_sends_what_is_left_may_log_while_the_handler_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    handler = OtlpHandler(Resource({}))
    record = logging.LogRecord("asyncio", logging.ERROR, "", 0, "Unclosed", None, None)
    # As `logging.shutdown` does.
    handler.acquire()
    logs = Thread(target=handler.handle, args=(record,), daemon=True)
    logs.start()
    logs.join(10)
    waits = logs.is_alive()
    handler.release()
    handler._exporter.shutdown()  # type: ignore[no-untyped-call]
    handler.close()
    assert not waits
