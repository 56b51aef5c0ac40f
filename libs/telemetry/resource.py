"""Who reports: OpenTelemetry's resource of a process."""

import os
import socket
from functools import lru_cache

from opentelemetry.sdk.resources import Resource

from libs.version import VERSION


@lru_cache
def resource(service: str) -> Resource:
    """Name, version and instance of a service's process; ``OTEL_RESOURCE_ATTRIBUTES`` adds to them."""
    instance = os.environ.get("SLUICE_KAFKA_INSTANCE") or f"{socket.gethostname()}:{os.getpid()}"
    return Resource.create(
        {
            "service.name": f"sluice-{service}",
            "service.namespace": "sluice",
            "service.version": VERSION,
            "service.instance.id": instance,
        }
    )
