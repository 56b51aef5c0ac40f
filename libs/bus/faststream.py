"""FastStream brokers: for consumers off the way of a request, where its decoding and its loop serve (ADR 12)."""

from typing import Any

from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from libs.bus.settings import BusSettings

_SASL: dict[str, Any] = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


def faststream_broker(settings: BusSettings, client_id: str) -> KafkaBroker:
    """A broker that is not connected yet.

    Raises:
        ValueError: the SASL mechanism is none that FastStream has.
    """
    return KafkaBroker(
        settings.bootstrap,
        client_id=client_id,
        security=_security(settings),
        allow_auto_create_topics=False,
        logger=None,
    )


def _security(settings: BusSettings) -> BaseSecurity | None:
    if settings.security_protocol == "PLAINTEXT":
        return None
    encrypted = settings.security_protocol in {"SSL", "SASL_SSL"}
    context = settings.connection().get("ssl_context")
    if settings.sasl_mechanism is None:
        return BaseSecurity(ssl_context=context, use_ssl=encrypted)
    kind = _SASL.get(settings.sasl_mechanism)
    if kind is None:
        raise ValueError(f"SLUICE_KAFKA_SASL_MECHANISM is one of {', '.join(_SASL)}, not {settings.sasl_mechanism!r}")
    found: BaseSecurity = kind(
        username=settings.sasl_username or "",
        password=settings.sasl_password or "",
        ssl_context=context,
        use_ssl=encrypted,
    )
    return found
