"""Pages of the catalog: what anybody may read, and the same as an organization's policy leaves it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from contracts.control import PolicySet
from contracts.record import JSON, Refusal
from libs.bus.views import View
from libs.config.versions import CatalogVersions
from services.ingress.core.answers import RawHeaders, refused, whole
from services.ingress.core.catalog_pages import CatalogPages
from services.ingress.core.errors import IngressError, Unauthorized
from services.ingress.visitors import Visitors

Parameters = Mapping[str, str]
"""Of the route's path."""
NOT_FOUND = Refusal(status=404, message="Not Found")
NO_MODEL = Refusal(status=404, message="There is no such model; GET /models lists those there are.")
CACHED = [(b"cache-control", b"public, max-age=0, s-maxage=60, stale-while-revalidate=60")]
PER_CALLER = [(b"cache-control", b"private, no-cache")]


class PublicPage:
    """The same for everybody."""

    def __init__(self, make: Callable[[Parameters], Any], headers: RawHeaders = CACHED) -> None:
        """
        Args:
            make: the page, or None where there is no such thing.
        """
        self._make = make
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        found = self._make(scope["path_params"])
        messages = refused(NOT_FOUND, []) if found is None else whole(200, orjson.dumps(found), self._headers, JSON)
        for message in messages:
            await send(message)


class CatalogPage:
    """As the caller's organization has it. Without a key, or with one that is none: all, as anybody may read it."""

    def __init__(
        self,
        visitors: Visitors,
        policies: View[PolicySet],
        make: Callable[[Parameters, datetime, PolicySet | None], Any],
    ) -> None:
        """
        Args:
            make: the page, or None where there is no such thing; of the path's parameters, the time, and the policy.
        """
        self._visitors = visitors
        self._policies = policies
        self._make = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request. The organization is the path's, the header's, or the token's."""
        parameters: Parameters = scope["path_params"]
        try:
            policy = await self._policy(scope, parameters.get("organization"))
        except IngressError as error:
            messages = refused(error.refusal, [])
        else:
            found = self._make(parameters, datetime.now(UTC), policy)
            messages = refused(NO_MODEL, []) if found is None else whole(200, orjson.dumps(found), PER_CALLER, JSON)
        for message in messages:
            await send(message)

    async def _policy(self, scope: Scope, named: str | None) -> PolicySet | None:
        try:
            visitor = await self._visitors.visitor(scope, named)
        except Unauthorized:
            if named is not None:
                raise
            return None
        organization = visitor.caller.organization_id if visitor.caller else None
        return self._policies.get(organization) if organization else None


class NewestPages:
    """The pages of the newest version of the catalog, made when the first of them is asked for."""

    def __init__(self, versions: CatalogVersions) -> None:
        self._versions = versions
        self._made: tuple[int, CatalogPages] | None = None

    def newest(self) -> CatalogPages:
        """Those that count now."""
        catalog = self._versions.newest
        if self._made is None or self._made[0] != catalog.version:
            self._made = catalog.version, CatalogPages(catalog)
        return self._made[1]


class CatalogRoutes:
    """The pages by path, below each prefix of the API."""

    def __init__(self, pages: NewestPages, visitors: Visitors, policies: View[PolicySet]) -> None:
        def page(make: Callable[[Parameters, datetime, PolicySet | None], Any]) -> CatalogPage:
            return CatalogPage(visitors, policies, make)

        endpoints = PublicPage(lambda of: pages.newest().endpoints(of["model"], datetime.now(UTC)))
        models = page(lambda _, now, policy: pages.newest().models(now, policy))
        model = page(lambda of, now, policy: pages.newest().model(of["model"], now, policy))
        defaults = page(lambda _, now, policy: pages.newest().defaults(now, policy))
        self.by_path: Mapping[str, PublicPage | CatalogPage] = {
            "/models": models,
            "/models/{model:path}/endpoints": endpoints,
            "/models/{model:path}": model,
            "/models-by-provider": page(lambda _, now, policy: pages.newest().by_provider(now, policy)),
            "/providers": PublicPage(lambda _: pages.newest().providers()),
        }
        self.of_organization: Mapping[str, PublicPage | CatalogPage] = {
            "/organizations/{organization}/models": models,
            "/organizations/{organization}/models/{model:path}/endpoints": endpoints,
            "/organizations/{organization}/models/{model:path}": model,
            "/organizations/{organization}/defaults": defaults,
        }
        self.of_account: Mapping[str, PublicPage | CatalogPage] = {"/defaults": defaults}
