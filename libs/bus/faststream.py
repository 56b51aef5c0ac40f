"""FastStream brokers: for consumers off the way of a request, where its decoding and its loop serve (ADR 13)."""

from collections.abc import Awaitable, Callable
from typing import Any

from faststream import BaseMiddleware
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from libs.bus.dead_letters import DeadLetters
from libs.bus.records import PoisonError, decode
from libs.bus.settings import BusSettings

_SASL: dict[str, Any] = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


def faststream_broker(settings: BusSettings, dead_letters: DeadLetters, client_id: str) -> KafkaBroker:
    """A broker that is not connected yet. What its subscribers cannot decode becomes a dead letter.

    Raises:
        ValueError: the SASL mechanism is none that FastStream has.
    """

    class ToDeadLetters(BaseMiddleware):
        async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
            try:
                decode(msg.raw_message)
            except PoisonError as error:
                await dead_letters.write(msg.raw_message, str(error))
                return None
            return await call_next(msg)

    return KafkaBroker(
        settings.brokers,
        client_id=client_id,
        security=_security(settings),
        middlewares=[ToDeadLetters],
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
