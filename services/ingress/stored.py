"""Stored responses as clients ask for them: ``GET`` and ``DELETE /responses/{id}``, and ``previous_response_id``."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiokafka.errors import KafkaError
from pydantic_core import from_json, to_json
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from contracts import topics
from contracts.clock import now_ms
from contracts.responses import ResponseBegun, ResponseDeleted
from libs.bus.service import Service
from libs.config.gateway import Limits
from libs.sealing.hybrid import SealError
from libs.sealing.responses import PREFIX, is_ours, locator_of, open_response
from services.ingress.core.answers import refused, whole
from services.ingress.core.errors import BadRequest, IngressError, NotFound, TooLarge, Unauthorized, Unavailable
from services.ingress.core.stored import Position, StoredIndex, continued, page_of
from services.ingress.fold import Fold
from services.ingress.publishing import publish_one
from services.ingress.visitors import Visitors

NEW_WITHIN_S = 0.4
"""A response that was answered a moment ago may not be in the index of this ingress yet."""
READ_WITHIN_S = 5.0
MOST_READS = 16
"""At a time: each is a connection to the broker, and a response in memory."""
_NOT_FOUND = "There is no response {!r}: it was not stored here, was deleted, or made way for newer ones."
_PREVIOUS = "Previous response with id {!r} not found."
_REFERS = b'"' + PREFIX.encode()


class StoredResponses:
    """Reads what relays have stored. The index is in memory, the contents are on the log, the keys are the IDs."""

    def __init__(self, service: Service, limits: Limits) -> None:
        self._service = service
        self._most_bytes = limits.body_bytes
        self._index = StoredIndex(most=limits.stored_responses, most_bytes=limits.stored_bytes)
        self._reads = asyncio.Semaphore(MOST_READS)
        self._log = Fold(service, topics.RESPONSE_INDEX, self._index.apply, self._index.expire, what="responses")
        self.background = self._log.background

    async def start(self) -> None:
        """Begins to read the index, and returns once it is whole."""
        await self._log.start()

    async def stop(self) -> None:
        """Ends reading."""
        await self._log.stop()

    async def get(self, owner: str, response_id: str) -> dict[str, Any] | None:
        """``input`` and ``response`` of a response; None where the owner has none of this ID.

        Raises:
            Unavailable: the log cannot be read.
        """
        locator = locator_of(response_id) if is_ours(response_id) else ""
        position = await self._find(owner, locator) if locator else None
        if position is None:
            return None
        try:
            async with asyncio.timeout(READ_WITHIN_S), self._reads:
                found = await self._service.read_at(topics.RESPONSES, position.partition, position.offset)
                if found is None or found.record.locator != locator:
                    return None
                # Unpacking megabytes takes a while.
                return await asyncio.to_thread(_opened, found.record.sealed, response_id, owner)
        except (KafkaError, TimeoutError):
            raise Unavailable("The response cannot be read now; try again in a moment.", retry_after_s=1) from None
        except (SealError, ValueError):
            return None

    async def _find(self, owner: str, locator: str) -> Position | None:
        try:
            async with asyncio.timeout(NEW_WITHIN_S):
                while (position := self._index.find(owner, locator, now_ms())) is None:
                    await self._log.moved()
        except TimeoutError:
            return None
        return position

    async def begun(self, owner: str, response_id: str) -> tuple[ResponseBegun | None, bool]:
        """What is known of the beginning of a response that is, or was, made in the background; and whether it is
        stored by now."""
        locator = locator_of(response_id) if is_ours(response_id) else ""
        if not locator:
            return None, False

        def known() -> tuple[ResponseBegun | None, bool]:
            now = now_ms()
            return self._index.begun(owner, locator, now), self._index.find(owner, locator, now) is not None

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NEW_WITHIN_S):
                while known() == (None, False):
                    await self._log.moved()
        return known()

    async def delete(self, owner: str, response_id: str) -> bool:
        """Ends a response; False where the owner has none of this ID. Raises Unavailable as `get` does."""
        locator = locator_of(response_id) if is_ours(response_id) else ""
        if not locator or (
            self._index.begun(owner, locator, now_ms()) is None and await self._find(owner, locator) is None
        ):
            return False
        event = ResponseDeleted(locator=locator, owner=owner)
        await publish_one(self._service.producer, topics.RESPONSE_INDEX, event, within_s=READ_WITHIN_S)
        self._index.apply(event)
        return True

    async def in_full(self, raw: bytes, owner: str | None) -> bytes:
        """A body of Responses, with what a ``previous_response_id`` of ours stands for; any other as it is.

        Raises:
            BadRequest: there is no such response.
            TooLarge: with it, the body is larger than one may be.
            Unavailable: as `get` does.
        """
        if _REFERS not in raw:
            return raw
        body = _object(raw)
        previous = body.get("previous_response_id")
        if not isinstance(previous, str) or not is_ours(previous):
            return raw
        stored = await self.get(owner, previous) if owner else None
        if stored is None:
            raise BadRequest(_PREVIOUS.format(previous), code="previous_response_not_found")
        full = to_json(continued(body, stored))
        if len(full) > self._most_bytes:
            raise TooLarge(f"With the response that it goes on with, the body is larger than {self._most_bytes} bytes.")
        return full


def _opened(sealed: bytes, response_id: str, owner: str) -> dict[str, Any]:
    content: dict[str, Any] = from_json(open_response(sealed, response_id, owner=owner))
    return content


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = from_json(raw, allow_inf_nan=False)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


Page = Callable[[StoredResponses, str, str, Mapping[str, str]], Awaitable[dict[str, Any]]]


async def show(store: StoredResponses, owner: str, response_id: str, _asked: Mapping[str, str]) -> dict[str, Any]:
    """``GET /responses/{id}``."""
    stored = await _of(store, owner, response_id)
    response: dict[str, Any] = stored["response"]
    return response


async def items(store: StoredResponses, owner: str, response_id: str, asked: Mapping[str, str]) -> dict[str, Any]:
    """``GET /responses/{id}/input_items``."""
    return page_of(await _of(store, owner, response_id), asked)


async def delete(store: StoredResponses, owner: str, response_id: str, _asked: Mapping[str, str]) -> dict[str, Any]:
    """``DELETE /responses/{id}``."""
    if not await store.delete(owner, response_id):
        raise NotFound(_NOT_FOUND.format(response_id[:80]))
    return {"id": response_id, "object": "response", "deleted": True}


async def _of(store: StoredResponses, owner: str, response_id: str) -> dict[str, Any]:
    stored = await store.get(owner, response_id)
    if stored is None:
        raise NotFound(_NOT_FOUND.format(response_id[:80]))
    return stored


class StoredPage:
    """The ASGI application of one page about one stored response."""

    def __init__(self, visitors: Visitors, store: StoredResponses, pages: Mapping[str, Page]) -> None:
        """
        Args:
            pages: by the request's method.
        """
        self._visitors = visitors
        self._store = store
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        request = Request(scope, receive)
        try:
            visitor = await self._visitors.visitor(scope)
            if visitor.owner is None:
                raise Unauthorized("A stored response is an account's: send `Authorization: Bearer <api key>`.")
            page = self._pages["GET" if request.method == "HEAD" else request.method]
            found = await page(self._store, visitor.owner, request.path_params["id"], request.query_params)
            messages = whole(200, orjson.dumps(found), [])
        except IngressError as error:
            messages = refused(error.refusal, [])
        for message in messages:
            await send(message)
