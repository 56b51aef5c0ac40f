"""One call of one provider for an endpoint, from the client's form to the client's answer. Sans-I/O."""

from collections.abc import Sequence
from typing import Any

from contracts.prices import Price
from contracts.quantities import Quantity
from contracts.record import JSON
from contracts.requests import Surface
from contracts.usage import TokenUsage
from libs.chat.providers.answers import Answer, Exchange
from libs.chat.providers.platforms import authorize_of
from libs.chat.providers.protocol import Outgoing, ProtocolError, ProviderFailure, parse_event, parse_object
from libs.chat.providers.sse import ServerSentEvents
from libs.chat.surfaces.chat.stream import DONE
from libs.chat.surfaces.writer import SurfaceError, data_event, named_event
from libs.config.providers import Provider
from libs.endpoints.endpoint import Counts, Endpoint
from libs.endpoints.form import Form
from libs.endpoints.registry import ENDPOINTS, can_have


def exchange(
    surface: Surface,
    form: Form,
    provider: Provider,
    *,
    model: str,
    upstream_model: str,
    streamed: bool,
    price: Price | None,
) -> Exchange:
    """The exchange with a provider.

    Args:
        form: the client's, without what is for the gateway.
        model: as the client named it.

    Raises:
        SurfaceError: the provider has no such API.
    """
    endpoint = ENDPOINTS[surface]
    if not can_have(provider, surface):
        raise SurfaceError(f"this model's provider ({provider.name}) has no {endpoint.path}; GET /models lists others.")
    sent = endpoint.prepared(form.without(lambda name: name in provider.unsupported), price)
    sent = sent.with_fields(model=upstream_model)
    headers = {} if sent.content_type == JSON else {"Content-Type": sent.content_type}
    dropped = tuple(sorted(name for name in form.names if name in provider.unsupported))
    counter = Counter(endpoint, form)
    recording = streamed and endpoint.recording(form)

    def whole(data: bytes) -> Answer:
        answer = parse_object(data)
        if answer.get("error"):
            raise ProviderFailure(answer["error"])
        if "model" in answer:
            answer["model"] = model
        counter.take(answer)
        return Answer(counter.counts.tokens, 0, lambda _counted: endpoint.written(form, answer))

    return Exchange(
        Outgoing(endpoint.path, sent.encode(), dropped, headers),
        authorize_of(provider),
        ServerSentEvents,
        EventStream(endpoint, counter),
        whole,
        recording=recording,
        unstreamed=streamed and endpoint.unstreamed(form, price),
        content_type=endpoint.content_type(form) if recording or not streamed else None,
        quantities=counter.quantities,
    )


class Counter:
    """What a call has used by now."""

    def __init__(self, endpoint: Endpoint, form: Form) -> None:
        self._endpoint = endpoint
        self._form = form
        self.counts = Counts(None, endpoint.certain(form))

    def take(self, answer: dict[str, Any]) -> None:
        """Counts by a whole answer, or by a stream's last event."""
        self.counts = self._endpoint.counts(self._form, answer)

    def quantities(self) -> Sequence[Quantity]:
        """Of other units than tokens."""
        return self.counts.quantities


class EventStream:
    """Events as they are; from the one with the counts on they are held back for `finish`."""

    delivered_bytes = 0

    def __init__(self, endpoint: Endpoint, counter: Counter) -> None:
        self._endpoint = endpoint
        self._counter = counter
        self._held = ""
        self.done = False
        self.finished = False

    @property
    def usage(self) -> TokenUsage | None:
        """See `Stream`."""
        return self._counter.counts.tokens

    def event(self, data: str) -> str:
        """See `Stream`."""
        if data == DONE:
            self.done = True
            return self._given(f"data: {DONE}\n\n")
        event = parse_event(data)
        kind = event.get("type")
        if event.get("error") or kind == "error":
            raise ProviderFailure(event.get("error") or event)
        if kind is not None and not (isinstance(kind, str) and kind.isprintable()):
            raise ProtocolError("an event's type is none")
        self.finished = self.finished or kind in self._endpoint.last
        # vLLM's events have no types; the last one has the usage.
        if kind in self._endpoint.last or (kind is None and event.get("usage")):
            self._counter.take(event)
        return self._given(named_event(event) if kind else data_event(event))

    def _given(self, text: str) -> str:
        if not self.finished:
            return text
        self._held += text
        return ""

    def finish(self, _counted: TokenUsage | None) -> str:
        """See `Stream`."""
        return self._held
