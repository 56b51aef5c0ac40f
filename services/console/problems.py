"""How the management API refuses: problem details (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from services.console.answers import FORMS
from services.console.errors import ConsoleError


class Problem(BaseModel):
    """Why a call was refused, for people; nothing was changed."""

    type: str = "about:blank"
    title: str
    """The status in words."""
    status: int
    detail: str
    """What is wrong, and what to do."""


class ProblemResponse(JSONResponse):
    """A `Problem` as its media type has it."""

    media_type = "application/problem+json"

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
        super().__init__(problem.model_dump(), status, headers)


DOCUMENTED: dict[int | str, dict[str, Any]] = {"4XX": {"model": Problem}, "5XX": {"model": Problem}}
"""For the OpenAPI document of each route."""


def add_problem_handlers(app: FastAPI) -> None:
    """Lets every error of this application be answered as a problem."""
    app.add_exception_handler(ConsoleError, _refused)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(RequestValidationError, _invalid)


def sentence(error: RequestValidationError) -> str:
    """All that is wrong with a call, in one line."""
    wrong = "; ".join(f"{'.'.join(map(str, item['loc'][1:])) or 'body'}: {_reason(item)}" for item in error.errors())
    return f"the request is not right: {wrong[:500]}"


def _reason(item: dict[str, Any]) -> str:
    form = FORMS.get(item.get("ctx", {}).get("pattern", ""))
    return f"it must be {form}" if form else str(item["msg"])


async def _refused(_request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, ConsoleError)
    return ProblemResponse(error.status, str(error))


async def _no_route(_request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)
    return ProblemResponse(error.status_code, str(error.detail), dict(error.headers or {}))


async def _invalid(_request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)
    return ProblemResponse(400, sentence(error))
