"""What is exported by OTLP. Where nothing is, the exporters are not imported: they are a fifth of a start."""

import os


def is_exported(signal: str) -> bool:
    """``OTEL_EXPORTER_OTLP_ENDPOINT`` is set, and the signal (``TRACES``, ``METRICS``, ``LOGS``) not switched off."""
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return bool(endpoint) and os.environ.get(f"OTEL_{signal}_EXPORTER", "otlp") != "none"
