"""A request on its way in: who asks, the body, and the record of what is let in. What is cheap to check comes first."""

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial

from opentelemetry.trace import SpanKind
from pydantic_core import to_json
from starlette.types import Receive

from contracts.clock import now_ms
from contracts.control import PolicySet
from contracts.credit import BalanceChanged
from contracts.record import JSON, Lasting, ReplyAddress
from contracts.replies import ReplyEnded
from contracts.requests import RequestAccepted, Surface
from libs.bus.views import View
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from libs.config.providers import Encoding, Model
from libs.config.versions import CatalogVersions
from libs.ids import made_at_ms, new_id
from libs.policy.guardrails import Checked
from libs.pricing.bounds import Size
from libs.pricing.tokenizing import WORTH_BYTES, are_tokens, spared_tokens, text_of
from libs.sealing.kept import ClientKey
from libs.sealing.responses import answer_key_of, new_response_id, response_id_of
from libs.telemetry.tracing import Step, new_traceparent
from services.ingress.body import Body
from services.ingress.core import admission, bodies
from services.ingress.core.admission import Arrival, Terms
from services.ingress.core.background import Background, How, background_of, in_the_foreground
from services.ingress.core.bodies import Asked
from services.ingress.core.client_headers import upstream_headers
from services.ingress.core.counted import Conversation, Counts, Uncounted, is_steady
from services.ingress.core.errors import Forbidden, Unauthorized
from services.ingress.core.nodes import check_nodes
from services.ingress.core.stand_ins import first_that_fits, stand_ins
from services.ingress.core.tokens import as_text
from services.ingress.publishing import Publishing
from services.ingress.stored import StoredResponses
from services.ingress.visitors import Visitor, Visitors


@dataclass(frozen=True, slots=True)
class Admitted:
    """What is let in. Its body counts until it is released."""

    request: RequestAccepted
    body: Body
    content_type: str
    step: Step
    background: Background | None = None
    """A response that is made in the background."""
    seal: bytes | None = field(default=None, repr=False)
    """With which the answer is to be sealed."""
    uncounted: Uncounted | None = None
    """The conversation, where the next turn can be bounded by what its provider counts of it."""


class Entrance:
    """Reads and checks requests. Whoever is refused here leaves nothing on the log."""

    def __init__(
        self,
        config: GatewayConfig,
        versions: CatalogVersions,
        balances: View[BalanceChanged],
        policies: View[PolicySet],
        publishing: Publishing,
        visitors: Visitors,
        stored: StoredResponses,
    ) -> None:
        self._config = config
        self._versions = versions
        self._balances = balances
        self._policies = policies
        self._publishing = publishing
        self._visitors = visitors
        self._stored = stored
        self._counts = Counts()

    async def admit(self, surface: Surface, visitor: Visitor, receive: Receive) -> Admitted:
        """Reads the body, and makes the record of the request.

        Raises:
            IngressError: it is refused.
            ClientGone: the connection ended.
        """
        # Whoever would be refused for these is, before the body is read.
        self._publishing.address(admission.lasting_of(visitor.headers))
        body, content_type = await self.read(surface, visitor, receive)
        return await self.accept(surface, visitor, body, content_type)

    def check_kept(self) -> None:
        """Before a body is read whose answer is to be kept. Raises Unavailable where that could not be served."""
        self._publishing.address(Lasting.KEPT)

    async def read(self, surface: Surface, visitor: Visitor, receive: Receive) -> tuple[Body, str]:
        """The body and its type. Raises as `admit` does."""
        content_type = admission.content_type_of(visitor.headers, surface)
        if content_type == JSON:
            return await self._visitors.read_json(visitor, receive, bodies.MOST_NODES[surface]), content_type
        return await self._visitors.read(visitor, receive), content_type

    async def accept(
        self,
        surface: Surface,
        visitor: Visitor,
        body: Body,
        content_type: str,
        key: ClientKey | None = None,
    ) -> Admitted:
        """The record of a request whose body was read. Raises IngressError, and releases the body.

        Args:
            key: of a request whose answer is kept.
        """
        started_ms = now_ms()
        try:
            how = background_of(surface, body.data)
            if surface is Surface.RESPONSES:
                await self._put_in_full(body, visitor.owner)
            if how:
                self._to_background(body, visitor)
            elif surface is Surface.COMPLETIONS:
                await self._put_as_text(body)
            address = self._publishing.address(_lasting(visitor, key, how))
            await self._guard(visitor, body, content_type)
            request, uncounted = await self._accept(surface, visitor, body.data, content_type, address)
        except BaseException:
            body.release()
            raise
        step = self.begin(request, visitor, started_ms)
        background = None
        if how:
            name = response_id_of(key.responses, request.request_id) if key else new_response_id()
            background = Background(name, how)
        return Admitted(request, body, content_type, step, background, seal_of(key, background), uncounted)

    def begin(self, request: RequestAccepted, visitor: Visitor, started_ms: int) -> Step:
        """Notes the use of the key, and begins the request's trace.

        Args:
            started_ms: when the request came (epoch).
        """
        if request.caller.key_fingerprint:
            self._publishing.note_key_used(request.caller.key_fingerprint, started_ms)
        return Step(
            f"POST /{request.surface.value.replace('.', '/')}",
            new_traceparent(self._config.telemetry.sample_ratio, visitor.headers.get("traceparent")),
            kind=SpanKind.SERVER,
            started_ns=started_ms * 1_000_000,
            attributes={"sluice.request.id": request.request_id, "gen_ai.request.model": request.model},
        )

    def note_counted(self, admitted: Admitted, ended: ReplyEnded) -> None:
        """An answer has ended: what its provider counted of the conversation bounds the next turn."""
        if admitted.uncounted and ended.input_tokens and ended.provider_id and ended.model is None:
            self._counts.note(admitted.uncounted, ended.provider_id, ended.input_tokens)

    @staticmethod
    def _to_background(body: Body, visitor: Visitor) -> None:
        """The body of a response in the background is that of a stream which is stored."""
        if visitor.owner is None:
            raise Unauthorized("A response is made in the background for an account: send a key.")
        body.replace(to_json(in_the_foreground(bodies.fields_of(body.data))))

    async def _guard(self, visitor: Visitor, body: Body, content_type: str) -> None:
        """What an organization's guardrails leave of a request. Raises Forbidden, naming the rule."""
        organization = visitor.caller.organization_id if visitor.caller else None
        policy = self._policies.get(organization) if organization else None
        if policy is None or policy.guardrails is None or content_type != JSON:
            return
        checked = Checked(bodies.fields_of(body.data), policy.guardrails)
        for _ in checked.steps():
            await asyncio.sleep(0)
        if checked.refused:
            raise Forbidden(checked.refused.message, rule=checked.refused.rule)
        if checked.changed:
            body.replace(to_json(checked.body))

    async def _put_as_text(self, body: Body) -> None:
        """Tokens become text, where the model's tokenizer is known."""
        asked = bodies.fields_of(body.data)
        encoding = self._versions.newest.counted_by.get(str(asked.get("model")))
        if encoding and are_tokens(asked.get("prompt")):
            body.replace(to_json(await asyncio.to_thread(as_text, asked, partial(text_of, encoding=encoding))))

    async def _put_in_full(self, body: Body, owner: str | None) -> None:
        """A response that the request goes on with counts as if the client had sent it."""
        full = await self._stored.in_full(body.data, owner)
        if full is not body.data:
            body.replace(full)
            for _ in check_nodes(full, bodies.MOST_NODES[Surface.RESPONSES]):
                await asyncio.sleep(0)

    async def _accept(
        self, surface: Surface, visitor: Visitor, raw: bytes, content_type: str, reply_to: ReplyAddress
    ) -> tuple[RequestAccepted, Uncounted | None]:
        catalog, caller = self._versions.newest, visitor.caller
        asked = bodies.parse(surface, raw, content_type)
        # One moment, by the ID: the ledger's ranges of time are ranges of IDs.
        request_id = new_id()
        arrival = Arrival(
            request_id=str(request_id),
            at_ms=made_at_ms(request_id),
            headers=visitor.headers,
            caller=caller,
            ip=visitor.address,
            prompt_bytes=len(raw),
            reply_to=reply_to,
            voucher=visitor.voucher,
            patient=visitor.patient,
        )
        if asked.model in catalog.auto:
            has_balance = caller is not None and (not catalog.billing.prepaid or self._has_balance(caller.owner))
            asked = admission.resolve(asked, arrival, catalog.auto, has_balance=has_balance)
        others: list[Model] = []
        if asked.stand_ins or catalog.fallbacks:
            others = stand_ins(asked, catalog, catalog.fallbacks)
            asked, others = first_that_fits(asked, catalog.all_of(asked.model), others)
        uncounted = None
        if caller and len(raw) >= WORTH_BYTES and not asked.free:
            if encoding := catalog.counted_by.get(asked.model):
                asked = replace(asked, size=await _without_spared(asked, len(raw), encoding))
            if not others and is_steady(asked.body, asked.size):
                asked, uncounted = await self._by_counts(asked, arrival, catalog)
        terms = Terms(catalog, self._config.timeouts, self._config.answer_cache)
        return admission.accept(asked, arrival, terms, others), uncounted

    async def _by_counts(self, asked: Asked, arrival: Arrival, catalog: Catalog) -> tuple[Asked, Uncounted | None]:
        """Bounded by what was counted of the turns before. Others go on meanwhile."""
        who = arrival.caller.owner if arrival.caller else ""
        headers = sorted(upstream_headers(arrival.headers).items())
        # A version of the catalog may have another model behind the name.
        whose = (who, asked.model, str(catalog.version), asked.surface.value, str(headers))
        conversation = Conversation(asked.body, whose)
        for _ in conversation.steps():
            await asyncio.sleep(0)
        most = self._counts.most_tokens(conversation, _providers(asked, catalog))
        return replace(asked, size=replace(asked.size, counted_most=most)), conversation.whole(asked.size)

    def _has_balance(self, owner: str) -> bool:
        balance = self._balances.get(owner)
        return balance is not None and balance.balance_microdollars > 0


def _lasting(visitor: Visitor, key: ClientKey | None, how: How | None) -> Lasting:
    if key:
        return Lasting.KEPT
    return Lasting.ANSWER if how else admission.lasting_of(visitor.headers)


def seal_of(key: ClientKey | None, background: Background | None) -> bytes | None:
    """With which a kept answer is sealed: who has a response's ID reads it without the key."""
    if key is None:
        return None
    return answer_key_of(background.response_id) if background else key.seal


def _providers(asked: Asked, catalog: Catalog) -> set[str]:
    """All that may be asked for the model, at most."""
    only, ignore = asked.wanted.only, asked.wanted.ignore
    having = {offer.provider_id for offer in catalog.all_of(asked.model)}
    return {one for one in having if (not only or one in only) and one not in ignore}


async def _without_spared(asked: Asked, body_bytes: int, encoding: Encoding) -> Size:
    """The size with the tokens of its text. Others go on meanwhile."""
    spared = 0
    for part in spared_tokens(asked.body, body_bytes, encoding):
        spared += part
        await asyncio.sleep(0)
    return replace(asked.size, spared_tokens=spared)
