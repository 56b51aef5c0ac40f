"""The pages that a supervisor or Kubernetes asks: alive, ready, how far behind, and which version, and all metrics."""

import os
import platform
from collections.abc import Callable, Iterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from libs.runtime.background import Repeated
from libs.telemetry.instruments import ALL, FAILURES, PROBLEMS, READY
from libs.telemetry.metrics import Labels
from libs.telemetry.prometheus import CONTENT_TYPE, expose
from libs.telemetry.resource import resource
from libs.version import VERSION

STARTING = "start"
"""Waited for until every part has been started."""
DRAINING = "drain"
"""From SIGTERM on."""


class Health:
    """Named readiness checks of one service, and the lag of its consumers."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._serving = False
        self._draining = False
        self._checks: dict[str, Callable[[], bool]] = {}
        self._lags: list[Callable[[], int]] = []
        self._background: list[Repeated] = []
        self._problems: dict[str, Callable[[], str | None]] = {}
        READY.observe("health", lambda: [(float(not self.waits_for()), ())])
        FAILURES.observe("health", self._failures)
        PROBLEMS.observe("health", lambda: [(float(bool(ask())), (name,)) for name, ask in self._problems.items()])

    def serving(self) -> None:
        """Every part has been started; until then the service is not ready, whatever its checks."""
        self._serving = True

    def draining(self) -> None:
        """It ends, and is not ready any more; nobody new is to be sent here."""
        self._draining = True

    def check(self, name: str, is_ready: Callable[[], bool]) -> None:
        """Adds a condition without which the service is not ready.

        Raises:
            ValueError: there is one of this name, which would not count any more.
        """
        if name in self._checks:
            raise ValueError(f"two conditions are named {name}")
        self._checks[name] = is_ready

    def lag(self, count: Callable[[], int]) -> None:
        """Adds a count of records that wait to be handled."""
        self._lags.append(count)

    def problem(self, name: str, ask: Callable[[], str | None]) -> None:
        """Adds something that an operator should see, and that does not make the service unready.

        Args:
            ask: what is wrong, in words without secrets; None where nothing is.
        """
        self._problems[name] = ask

    def background(self, work: Repeated) -> None:
        """Adds work whose failures are shown."""
        self._background.append(work)

    def application(self) -> Starlette:
        """``/livez`` (200 while the loop turns), ``/readyz`` (503 until ready), ``/version`` and ``/metrics``."""
        return Starlette(
            routes=[
                Route("/livez", self._alive),
                Route("/readyz", self._ready),
                Route("/version", self._version),
                Route("/metrics", self._metrics),
            ]
        )

    def waits_for(self) -> list[str]:
        """The names of the conditions that do not hold; empty: ready."""
        missing = [name for name, is_ready in self._checks.items() if not is_ready()]
        if self._draining:
            return [DRAINING, *missing]
        return missing if self._serving else [STARTING, *missing]

    async def _alive(self, _request: Request) -> JSONResponse:
        return JSONResponse({"service": self._service})

    async def _metrics(self, _request: Request) -> Response:
        attributes = {name: str(value) for name, value in resource(self._service).attributes.items()}
        return Response(expose(ALL, attributes), media_type=CONTENT_TYPE)

    def _failures(self) -> Iterator[tuple[float, Labels]]:
        for work in self._background:
            yield work.failures, (work.name,)

    async def _version(self, _request: Request) -> JSONResponse:
        revision = os.environ.get("SLUICE_REVISION")
        return JSONResponse(
            {"service": self._service, "version": VERSION, "revision": revision, "python": platform.python_version()}
        )

    async def _ready(self, _request: Request) -> JSONResponse:
        missing = self.waits_for()
        body = {
            "service": self._service,
            "ready": not missing,
            "waits_for": missing,
            "checks": {name: name not in missing for name in self._checks},
            "problems": {name: found for name, ask in self._problems.items() if (found := ask())},
            "lag": sum(count() for count in self._lags),
            "background": {
                work.name: {"failing": work.failing, "failures": work.failures} for work in self._background
            },
        }
        return JSONResponse(body, status_code=503 if missing else 200)
