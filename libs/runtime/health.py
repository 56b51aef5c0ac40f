"""The page that a supervisor or Kubernetes asks: alive, ready, and how far behind."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from libs.runtime.background import Repeated


class Health:
    """Named readiness checks of one service, and the lag of its consumers."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._serving = False
        self._checks: dict[str, Callable[[], bool]] = {}
        self._lags: list[Callable[[], int]] = []
        self._background: list[Repeated] = []

    def serving(self) -> None:
        """Every part has been started; until then the service is not ready, whatever the checks say."""
        self._serving = True

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

    def background(self, work: Repeated) -> None:
        """Adds work whose failures are shown."""
        self._background.append(work)

    def application(self) -> Starlette:
        """``/healthz`` (alive) and ``/readyz`` (503 until ready)."""
        return Starlette(routes=[Route("/healthz", self._alive), Route("/readyz", self._ready)])

    async def _alive(self, _request: Request) -> JSONResponse:
        return JSONResponse({"service": self._service})

    async def _ready(self, _request: Request) -> JSONResponse:
        checks = {name: is_ready() for name, is_ready in self._checks.items()}
        ready = self._serving and all(checks.values())
        body = {
            "service": self._service,
            "ready": ready,
            "checks": checks,
            "lag": sum(count() for count in self._lags),
            "background": {
                work.name: {"failing": work.failing, "failures": work.failures} for work in self._background
            },
        }
        return JSONResponse(body, status_code=200 if ready else 503)
