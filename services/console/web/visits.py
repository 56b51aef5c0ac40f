"""Who looks at a page, in whose space, and that a form came from a page of ours."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request
from starlette.responses import RedirectResponse, Response

from libs.identity.tokens import SCOPES
from services.console.core.authorization import Action, Role
from services.console.core.cursors import Slice
from services.console.core.owners import Owner, OwnerKind
from services.console.errors import Forbidden, NotFound
from services.console.paging import MOST_ROWS
from services.console.session import Session, connected, origin, parts_of
from services.console.store import organizations, sessions, usage
from services.console.store.organizations import Organization
from services.console.store.requests import Whose
from services.console.web.forms import Form
from services.console.web.pages import page

COOKIE = "sluice_session"
ALL_SCOPES = frozenset(SCOPES)


class SignInFirst(Exception):
    """Nobody is signed in."""


@dataclass(frozen=True, slots=True)
class Space:
    """Whose data pages show: one's own, an organization's, or (operator) everybody's."""

    name: str
    """In addresses: ``me``, ``all``, or an organization's ID."""
    title: str
    owner: Owner | None
    """None: everybody's."""
    role: Role | None = None
    """In an organization; None for the operator, and in one's own space."""

    @property
    def organization(self) -> bool:
        """It is an organization's."""
        return self.owner is not None and self.owner.kind is OwnerKind.ORGANIZATIONS


@dataclass(frozen=True, slots=True)
class Visit:
    """A page's call: the session of the API, and what all pages show."""

    session: Session
    request: Request
    token: str
    space: Space
    spaces: list[Space]
    form: Form

    @property
    def whose(self) -> Whose:
        """The requests that one may see here: members see their own."""
        if self.space.owner is None:
            return Whose()
        sees_all = self.session.actor.operator or not self.space.organization or self.space.role in usage.SEE_ALL
        return Whose(self.space.owner.name, None if sees_all else self.session.actor.account_id)

    @property
    def owner(self) -> Owner:
        """Raises NotFound in everybody's space."""
        if self.space.owner is None:
            raise NotFound("choose an organization for this page")
        return self.space.owner

    @property
    def owns(self) -> bool:
        """May do all that owners may in this space."""
        return self.session.actor.operator or self.space.role is Role.OWNER

    async def check(self, action: Action) -> None:
        """Raises as `Session.check` does."""
        await self.session.check(self.owner, action)

    def page(self, template: str, status: int = 200, **content: Any) -> Response:
        """A page in this space."""
        return page(template, status, visit=self, csrf=csrf(self.token), **content)

    def go(self, path: str, said: str = "") -> Response:
        """To a page of this space, after a change; ``said`` is one of the messages that `base.html` knows."""
        return RedirectResponse(f"/{self.space.name}/{path}{f'?said={said}' if said else ''}", 303)


async def _visit(request: Request, space: str) -> AsyncIterator[Visit]:
    parts, token = parts_of(request), request.cookies.get(COOKIE, "")
    if not token:
        raise SignInFirst
    form = Form({})
    if request.method != "GET":
        check_origin(request)
        form = await Form.read(request)
        if not hmac.compare_digest(form.get("csrf").encode(), csrf(token).encode()):
            raise Forbidden("this form is no longer valid; load the page again")
    async with connected(parts) as connection, connection.transaction():
        actor = await sessions.find(connection, token, parts.operator_token, origin(request, parts), ALL_SCOPES)
        if actor is None:
            raise SignInFirst
        mine = await organizations.rows(connection, actor.account_id, Slice(MOST_ROWS))
        account = actor.account_id
        own = (
            Space("me", "Personal", Owner(OwnerKind.ACCOUNTS, account)) if account else Space("all", "Everybody", None)
        )
        spaces = [own, *(_space(one) for one in mine)]
        found = next((one for one in spaces if one.name == space), None)
        if found is None:
            raise NotFound("there is no such page, or it is not yours")
        yield Visit(Session(connection, actor, parts, request.method != "GET"), request, token, found, spaces, form)
    if request.method != "GET":
        parts.changed()


def _space(organization: Organization) -> Space:
    return Space(organization.id, organization.name, Owner(OwnerKind.ORGANIZATIONS, organization.id), organization.role)


visiting = asynccontextmanager(_visit)
"""The same, for what must be done outside of a transaction."""

# Of the scope of the function, as `services.console.session.Call` is.
Visiting = Annotated[Visit, Depends(_visit, scope="function")]


def csrf(token: str) -> str:
    """What the forms of a session's pages carry."""
    return hmac.new(token.encode(), b"sluice console form", hashlib.sha256).hexdigest()


def encrypted(request: Request) -> bool:
    """The browser speaks HTTPS, to this service or to a proxy before it."""
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"


def check_origin(request: Request) -> None:
    """Raises Forbidden for a form that another site sent.

    Browsers say so in ``Sec-Fetch-Site``; older ones in ``Origin``, which a proxy that changes ``Host`` spoils.
    """
    site, sent = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        ours = site in ("same-origin", "none")
    else:
        ours = sent is None or urlsplit(sent).netloc == request.headers.get("host")
    if not ours:
        raise Forbidden("this form came from another site")


def sign_in_address(request: Request) -> str:
    """The page to sign in at, which leads back here."""
    here = request.url.path if request.method == "GET" else "/"
    return f"/sign-in?next={quote(here)}"
