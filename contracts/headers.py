"""Kafka headers of a record: CloudEvents attributes in binary content mode, and W3C trace context.

Sources: CloudEvents 1.0.2, Kafka Protocol Binding 3.2 (``ce_`` prefix); W3C Trace Context.
"""

from collections.abc import Iterable

Headers = list[tuple[str, bytes]]

TYPE = "ce_type"
ID = "ce_id"
SOURCE = "ce_source"
SUBJECT = "ce_subject"
TRACEPARENT = "traceparent"
REPLY_TO = "sluice-reply-to"
SIGNATURE = "sluice-signature"
"""64 bytes (Ed25519); on topics that name their signer, see `Topic.signed_by`."""
VERSION = "sluice-version"
"""Microseconds since 1970, in decimal: of two signed records of a key the greater is the newer."""
POSITION = "sluice-position"
"""Of a piece of a stream: how many bytes of it came before, in decimal."""
CALL = "sluice-call"
"""Of a piece of a stream: how many calls of providers it had before this one; 0 where it is not there."""
ANSWER_KEY = "sluice-answer-key"
"""Of a prompt: 32 bytes, with which its answer is to be sealed."""
RESPONSE_ID = "sluice-response-id"
"""Of a prompt: the ID of the stored response that its answer is to be. The ingress has given it to the client."""
DLQ_REASON = "sluice-dlq-reason"
DLQ_TOPIC = "sluice-dlq-topic"
DLQ_PARTITION = "sluice-dlq-partition"
DLQ_OFFSET = "sluice-dlq-offset"
DLQ_GROUP = "sluice-dlq-group"
RETRIED_FOR = "sluice-retried-for"
"""Of a record that an operator published again: the readers whose dead letter it was, with commas between them."""

TYPE_PREFIX = "dev.sluice."

CONTENT_TYPE = "content-type"

_VERSION = ("ce_specversion", b"1.0")


def event_headers(
    *,
    type_name: str,
    event_id: str,
    source: str,
    subject: str,
    media_type: str,
    traceparent: str,
    reply_to: str | None = None,
) -> Headers:
    """The headers of a new record.

    Args:
        type_name: the record's class name; ``ce_type`` is ``dev.sluice.<name>``.
        event_id: the same whenever the same event is published, so that consumers can dedupe.
        source: the service, e.g. ``/services/router``.
        subject: the request's ID, or the ID of what a control record describes.
        media_type: of the value.
        traceparent: the W3C header of the span that publishes it.
        reply_to: `ReplyAddress.encode`, where a client waits for an answer.
    """
    headers = [
        _VERSION,
        (CONTENT_TYPE, media_type.encode()),
        (TYPE, (TYPE_PREFIX + type_name).encode()),
        (ID, event_id.encode()),
        (SOURCE, source.encode()),
        (SUBJECT, subject.encode()),
        (TRACEPARENT, traceparent.encode()),
    ]
    if reply_to is not None:
        headers.append((REPLY_TO, reply_to.encode()))
    return headers


def header(headers: Iterable[tuple[str, bytes | None]], name: str) -> str | None:
    """The last value of a header, or None. Bytes that are no UTF-8 are replaced, never an error."""
    found = None
    for key, value in headers:
        if key == name:
            found = value
    return None if found is None else found.decode("utf-8", "replace")
