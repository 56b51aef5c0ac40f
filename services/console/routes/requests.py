"""Single requests: a list with filters, and one with its course through the services."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from contracts.labels import MOST_CUSTOMER, MOST_TAG
from libs.pricing.usd import parse_usd
from services.console.answers import Answer, Usd
from services.console.core.authorization import Action
from services.console.core.owners import Owner, OwnerKind
from services.console.core.timeline import Step, Verdicts, given_back, timeline
from services.console.errors import BadInput, NotFound
from services.console.paging import Page
from services.console.session import Call, Owned, Session
from services.console.store import requests, usage
from services.console.store.requests import Filters, Request, RequestDetails, Whose

routes = APIRouter(prefix="/api/{kind}/{owner_id}/requests", tags=["requests"])
Outcome = Literal["completed", "rejected", "failed", "cancelled", "interrupted"]
MOST_MS = 86_400_000


class RequestStep(Answer):
    """Something that a service did."""

    at: datetime
    after_ms: int
    """Since the request was accepted."""
    service: str
    what: str
    """In words."""
    refused: bool
    """It went wrong here, or ended."""


class RequestCourse(Answer):
    """A request, and its way through the services."""

    request: RequestDetails
    steps: list[RequestStep]
    """In the order of time."""
    policy_version: int | None
    """That it was decided by; 0: none was set. Null: the log has its verdict no more."""
    held_tokens: int | None
    given_back_microdollars: int
    """Of what was held."""


def _filters(
    model: Annotated[str | None, Query(max_length=200)] = None,
    outcome: Outcome | None = None,
    status: Annotated[int | None, Query(ge=100, le=599, description="That the client was sent.")] = None,
    key: Annotated[str | None, Query(max_length=64, description="A key's fingerprint.")] = None,
    member: Annotated[str | None, Query(max_length=64, description="An account's ID.")] = None,
    tag: Annotated[str | None, Query(max_length=MOST_TAG)] = None,
    customer: Annotated[str | None, Query(max_length=MOST_CUSTOMER, description="As requests name it.")] = None,
    least_usd: Annotated[Usd | None, Query(description="It cost so many US dollars, or more.")] = None,
    least_ms: Annotated[int | None, Query(ge=0, le=MOST_MS, description="It took so long, or longer.")] = None,
    since: Annotated[datetime | None, Query(description="Accepted from then on (RFC 3339).")] = None,
) -> Filters:
    cost = None if least_usd is None else parse_usd(least_usd)
    return Filters(model, outcome, key, member, since, tag, customer, status, cost, least_ms)


@routes.get("")
async def list_requests(
    owner: Owned, call: Call, page: Page, filters: Annotated[Filters, Depends(_filters)]
) -> list[Request]:
    """Requests that have ended, newest first; in an organization, members see their own."""
    whose = await _whose(call, owner)
    try:
        return page.of(await requests.rows(call.connection, whose, filters, page.slice))
    except ValueError:
        raise BadInput("`cursor` is not one of this list") from None


@routes.get("/{request_id}")
async def show_request(owner: Owned, request_id: UUID, call: Call) -> RequestCourse:
    """One request: what each service did and when, what was held, charged and given back."""
    seen = await looked_up(call, await _whose(call, owner), request_id)
    return RequestCourse(
        request=seen.details,
        steps=[
            RequestStep(at=one.at, after_ms=one.after_ms, service=one.service, what=one.what, refused=one.refused)
            for one in seen.steps
        ],
        policy_version=seen.verdicts.policy[1].policy_version or 0 if seen.verdicts.policy else None,
        held_tokens=seen.held_tokens,
        given_back_microdollars=seen.given_back_microdollars,
    )


async def _whose(call: Session, owner: Owner) -> Whose:
    role = await call.check(owner, Action.SEE)
    if owner.kind is OwnerKind.ACCOUNTS:
        return Whose(account_id=owner.id)
    own_only = None if call.actor.operator or role in usage.SEE_ALL else call.actor.account_id
    return Whose(owner.name, own_only)


@dataclass(frozen=True, slots=True)
class Seen:
    """A request, from the ledger and the log."""

    details: RequestDetails
    verdicts: Verdicts
    steps: list[Step]

    @property
    def held_tokens(self) -> int | None:
        """Beside credit."""
        held = self.verdicts.quota[1].held if self.verdicts.quota else None
        return held.tokens if held else None

    @property
    def given_back_microdollars(self) -> int:
        """Of what was held."""
        return given_back(self.details.reserved_microdollars, self.details.cost_microdollars)


async def looked_up(call: Session, whose: Whose, request_id: UUID) -> Seen:
    """One request that one may see. Raises NotFound."""
    found = await requests.find(call.connection, whose, request_id)
    if found is None:
        raise NotFound(
            "there is no such request in the books, or it is not yours; one that still runs is entered when it ends, "
            "and one that was answered with 503 may never have begun"
        )
    accepted_ms, ended_ms = (int(at.timestamp() * 1000) for at in (found.accepted_at, found.ended_at))
    verdicts = await call.parts.verdicts.find(str(request_id), found.owner, accepted_ms, ended_ms)
    return Seen(found, verdicts, timeline(found.course, verdicts))
