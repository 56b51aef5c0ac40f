"""``/batches``: made, shown, listed and cancelled. What runs them is `services.ingress.running`."""

from typing import Any

from contracts.batches import BatchCancelled, BatchCreated, BatchOrdered
from contracts.clock import now_ms
from contracts.requests import Surface
from contracts.topic import DAY_MS
from libs.batches.index import KEPT_MS, Batch
from libs.config.gateway import Batches
from libs.sealing.named import BATCH, FILE, Named
from services.ingress.batch_log import BatchLog, Lister, about_of, sealed_about
from services.ingress.core.admission import content_type_of
from services.ingress.core.batch_objects import WINDOW, batch_object, metadata_of, page_of
from services.ingress.core.bodies import fields_of
from services.ingress.core.errors import BadRequest, RateLimited, Unauthorized
from services.ingress.files import OUTPUT_PURPOSE
from services.ingress.owners_page import Asking
from services.ingress.visitors import Visitors

MOST_NODES = 1_000
VERSION = "/v1"
"""OpenAI's paths begin so; here it may be left out."""
WINDOW_MS = DAY_MS


class BatchPages:
    """Answers of ``/batches``, ``/batches/{id}`` and ``/batches/{id}/cancel``."""

    def __init__(self, log: BatchLog, visitors: Visitors, batches: Batches, surfaces: dict[str, Surface]) -> None:
        """
        Args:
            surfaces: those that batches are for, by path.
        """
        self._log = log
        self._visitors = visitors
        self._batches = batches
        self._surfaces = surfaces

    async def create(self, asking: Asking) -> None:
        """``POST /batches``."""
        content_type_of(asking.visitor.headers, Surface.CHAT_COMPLETIONS)
        with await self._visitors.read_json(asking.visitor, asking.request.receive, MOST_NODES) as body:
            asked = fields_of(body.data)
        owner, now, voucher = asking.owner, now_ms(), asking.visitor.voucher
        surface = self._surface(asked.get("endpoint"))
        if asked.get("completion_window", WINDOW) != WINDOW:
            raise BadRequest(f"`completion_window` is {WINDOW!r}.")
        metadata = metadata_of(asked.get("metadata"))
        if voucher is None or voucher.expires_at_s * 1000 < now + WINDOW_MS:
            raise Unauthorized(
                "A batch may run for a day, and this token is good for less: use an API key, with the header "
                "X-KiloCode-OrganizationId for an organization."
            )
        if self._log.index.unfinished(owner) >= self._batches.unfinished:
            raise RateLimited(f"You have {self._batches.unfinished} batches that have not ended; wait for one.")
        source, file = await self._log.file(str(asked.get("input_file_id")), owner)
        if file.lines > self._batches.lines:
            raise BadRequest(f"The file has {file.lines} lines; a batch has at most {self._batches.lines}.")
        batch, output, errors = (Named(kind.new_id(), owner) for kind in (BATCH, FILE, FILE))
        about = {
            "endpoint": asked["endpoint"],
            "input_file_id": source.name,
            "output_file_id": output.name,
            "error_file_id": errors.name,
            "metadata": metadata,
        }
        partition, offset = await self._log.order(
            BatchOrdered(
                batch_id=batch.name,
                input_file_id=source.name,
                output_file_id=output.name,
                error_file_id=errors.name,
                locator=batch.locator,
                caller=asking.caller,
                address=asking.visitor.address,
                voucher=voucher,
                surface=surface,
                url=asked["endpoint"],
            )
        )
        lister = Lister(asking.api_key, owner)
        await self._log.add(
            BatchCreated(
                locator=batch.locator,
                owner=owner,
                key_fingerprint=asking.caller.key_fingerprint or "",
                listed=lister.seal(batch),
                about=sealed_about(batch, about),
                created_at_ms=now,
                expires_at_ms=now + KEPT_MS,
                input_locator=source.locator,
                output_locator=output.locator,
                error_locator=errors.locator,
                output_listed=lister.seal(output),
                error_listed=lister.seal(errors),
                output_about=sealed_about(output, _file_about(f"{batch.name}_output.jsonl")),
                error_about=sealed_about(errors, _file_about(f"{batch.name}_error.jsonl")),
                lines=file.lines,
                partition=partition,
                offset=offset,
                due_at_ms=now + WINDOW_MS,
            )
        )
        _named, made = await self._log.batch(batch.name, owner)
        await asking.answer(batch_object(batch.name, made, about))

    def _surface(self, endpoint: Any) -> Surface:
        surface = self._surfaces.get(str(endpoint).removeprefix(VERSION))
        if not isinstance(endpoint, str) or surface is None:
            known = ", ".join(f"{VERSION}{path}" for path in self._surfaces)
            raise BadRequest(f"`endpoint` is one of {known}.")
        return surface

    async def list(self, asking: Asking) -> None:
        """``GET /batches``: those that this API key made."""
        lister, now = Lister(asking.api_key, asking.owner), now_ms()
        found: list[tuple[str, Batch]] = []
        for batch in self._log.index.batches(asking.owner):
            created = batch.created
            if created.key_fingerprint == asking.caller.key_fingerprint and created.expires_at_ms > now:
                batch_id = lister.open(created.listed, created.locator)
                if batch_id:
                    found.append((batch_id, batch))
        page = page_of(
            found,
            asking.request.query_params,
            lambda one: one[0],
            lambda one: _shown(Named(one[0], asking.owner), one[1]),
        )
        await asking.answer(page)

    async def show(self, asking: Asking) -> None:
        """``GET /batches/{id}``."""
        await asking.answer(_shown(*await self._find(asking)))

    async def cancel(self, asking: Asking) -> None:
        """``POST /batches/{id}/cancel``. Lines that run end; no other begins."""
        named, batch = await self._find(asking)
        about_of(named, batch.created.about)
        if batch.ended:
            raise BadRequest(f"The batch has ended: it is {batch.status}.", code="batch_ended")
        await self._log.add(BatchCancelled(locator=named.locator, owner=asking.owner, at_ms=now_ms()))
        await asking.answer(_shown(named, batch))

    async def _find(self, asking: Asking) -> tuple[Named, Batch]:
        return await self._log.batch(asking.request.path_params["id"], asking.owner)


def _shown(named: Named, batch: Batch) -> dict[str, Any]:
    return batch_object(named.name, batch, about_of(named, batch.created.about))


def _file_about(filename: str) -> dict[str, str]:
    return {"filename": filename, "purpose": OUTPUT_PURPOSE}
