"""The ``id:`` of each server-sent event: how many bytes of the stream there are with it. Sans-I/O.

So what comes after an event begins at that byte, and a reader that says ``Last-Event-ID`` (HTML standard, 9.2) is given
the rest without anybody parsing what came before. The ID counts its own line, which is the event's first: a stream
still ends with ``data: [DONE]`` and an empty line, which is what many programs look for.
"""

_END = b"\n\n"
_LINE = len(b"id: \n")


def numbered(events: str, at: int) -> bytes:
    """Whole events with their IDs, in UTF-8.

    Args:
        at: how many bytes of the stream came before.
    """
    raw = events.encode()
    if raw.find(_END) == len(raw) - len(_END):
        # Most writes are one event.
        return b"id: %d\n%s" % (_end_of(at + len(raw)), raw)
    out = bytearray()
    while raw:
        event, end, raw = raw.partition(_END)
        if not end:
            return bytes(out + event)
        out += b"id: %d\n%s\n\n" % (_end_of(at + len(out) + len(event) + len(_END)), event)
    return bytes(out)


def _end_of(without: int) -> int:
    """Where an event ends that ends ``without`` its ID's line there: the line is the longer, the greater its number."""
    end = without + _LINE + len(str(without))
    return without + _LINE + len(str(end))
