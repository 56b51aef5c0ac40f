"""``/files``: what clients upload for batches, and what batches leave."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from contracts.batches import FileDeleted, FileStored, Part
from contracts.clock import now_ms
from libs.batches.index import KEPT_MS, StoredFile
from libs.config.gateway import Batches, Limits, Timeouts
from libs.endpoints import multipart
from libs.endpoints.forms import FormReader
from libs.runtime.budget import Budget
from libs.sealing.named import FILE, Named
from services.ingress.batch_log import BatchLog, Lister, about_of, sealed_about
from services.ingress.body import ClientGone
from services.ingress.core.batch_objects import file_object, page_of
from services.ingress.core.errors import BadRequest, RateLimited, TooLarge, TooSlow, WrongContentType
from services.ingress.core.lines import LineCutter
from services.ingress.owners_page import Asking

PURPOSE = "batch"
OUTPUT_PURPOSE = "batch_output"
PART_BYTES = 1024 * 1024
UPLOAD_S = 900.0
MOST_UPLOADS = 8
"""At one ingress: each holds a line and a part at the most."""
MOST_OF_OWNER = 2
MOST_FIELD_BYTES = 4_096
MOST_NAME = 255


@dataclass(slots=True)
class _Upload:
    """What has come of a form so far."""

    fields: dict[str, bytearray] = field(default_factory=dict)
    filename: str | None = None
    parts: list[Part] = field(default_factory=list)


class FilePages:
    """Answers of ``/files``, ``/files/{id}`` and ``/files/{id}/content``."""

    def __init__(self, log: BatchLog, batches: Batches, limits: Limits, timeouts: Timeouts) -> None:
        self._log = log
        self._batches = batches
        self._line_bytes = limits.body_bytes
        self._idle_s = timeouts.body_idle_s
        self._uploads = Budget(MOST_UPLOADS, MOST_OF_OWNER)

    async def create(self, asking: Asking) -> None:
        """``POST /files``. What was written of an upload that broke off counts among what its owner has."""
        owner = asking.owner
        form = self._form(asking)
        if len(self._log.index.files(owner)) >= self._batches.files:
            raise RateLimited(f"You have {self._batches.files} files; delete some.", code="too_many_files")
        if not self._uploads.take(owner):
            raise RateLimited("Too many files are on their way; try again in a moment.", retry_after_s=2)
        named, upload = Named(FILE.new_id(), owner), _Upload()
        try:
            try:
                async with asyncio.timeout(UPLOAD_S):
                    await self._receive(asking, form, named, upload)
            except TimeoutError:
                raise TooSlow("The file did not come in time; send it again.") from None
            about = _about(upload)
        except BaseException:
            if upload.parts:
                await self._store(asking, named, upload, {"filename": "", "purpose": PURPOSE})
                await self._log.add(FileDeleted(locator=named.locator, owner=owner))
            raise
        finally:
            self._uploads.give(owner)
        await self._store(asking, named, upload, about)
        _named, file = await self._log.file(named.name, owner)
        await asking.answer(file_object(named.name, file, about))

    def _form(self, asking: Asking) -> FormReader:
        content_type = asking.visitor.headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() != multipart.TYPE:
            raise WrongContentType(f"Send `Content-Type: {multipart.TYPE}`.")
        try:
            return FormReader(content_type)
        except multipart.FormError as error:
            raise BadRequest(str(error)) from None

    async def _receive(self, asking: Asking, form: FormReader, named: Named, upload: _Upload) -> None:
        cutter = LineCutter(PART_BYTES, self._line_bytes)
        current, size = "", 0
        try:
            async for piece in self._pieces(asking):
                for found in form.feed(piece):
                    if isinstance(found, multipart.Part):
                        current = found.name
                        if current == "file":
                            if upload.filename is not None:
                                raise BadRequest("The form has two files; send one.")
                            upload.filename = (found.filename or "file.jsonl")[:MOST_NAME]
                        else:
                            upload.fields[current] = bytearray()
                    elif current != "file":
                        upload.fields[current] += found
                        if len(upload.fields[current]) > MOST_FIELD_BYTES:
                            raise BadRequest("A field of the form is too long.")
                    else:
                        size += len(found)
                        if size > self._batches.file_bytes:
                            raise TooLarge(f"The file is larger than {self._batches.file_bytes} bytes.")
                        for part in cutter.feed(found):
                            await self._write(asking.owner, named, upload, part)
            form.end()
        except multipart.FormError as error:
            raise BadRequest(str(error)) from None
        for part in cutter.end():
            await self._write(asking.owner, named, upload, part)

    async def _pieces(self, asking: Asking) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(self._idle_s):
                    message = await asking.request.receive()
            except TimeoutError:
                raise TooSlow("The file does not come; send it again.") from None
            if message["type"] != "http.request":
                raise ClientGone
            yield message.get("body", b"")
            if not message.get("more_body"):
                return

    async def _write(self, owner: str, named: Named, upload: _Upload, content: bytes) -> None:
        held = self._log.index.sealed_bytes(owner) + sum(part.sealed_bytes for part in upload.parts)
        if held > self._batches.stored_bytes:
            raise RateLimited(
                f"Your files of the last month have more than {self._batches.stored_bytes} bytes, packed.",
                code="files_full",
            )
        upload.parts.append(await self._log.write(named, len(upload.parts), content))

    async def _store(self, asking: Asking, named: Named, upload: _Upload, about: dict[str, str]) -> None:
        now = now_ms()
        await self._log.add(
            FileStored(
                locator=named.locator,
                owner=asking.owner,
                key_fingerprint=asking.caller.key_fingerprint or "",
                listed=Lister(asking.api_key, asking.owner).seal(named),
                about=sealed_about(named, about),
                parts=upload.parts,
                created_at_ms=now,
                expires_at_ms=now + KEPT_MS,
            )
        )

    async def list(self, asking: Asking) -> None:
        """``GET /files``: those that this API key made."""
        lister = Lister(asking.api_key, asking.owner)
        found: list[tuple[str, StoredFile]] = []
        for file in self._log.index.files(asking.owner):
            if file.key_fingerprint == asking.caller.key_fingerprint and file.expires_at_ms > now_ms():
                file_id = lister.open(file.sealed_id, file.locator)
                if file_id:
                    found.append((file_id, file))
        purpose = asking.request.query_params.get("purpose")

        def about(one: tuple[str, StoredFile]) -> dict[str, str]:
            return about_of(Named(one[0], asking.owner), one[1].about)

        if purpose:
            found = [one for one in found if about(one)["purpose"] == purpose]
        page = page_of(
            found, asking.request.query_params, lambda one: one[0], lambda one: file_object(*one, about(one))
        )
        await asking.answer(page)

    async def show(self, asking: Asking) -> None:
        """``GET /files/{id}``."""
        named, file = await self._log.file(asking.request.path_params["id"], asking.owner)
        await asking.answer(file_object(named.name, file, about_of(named, file.about)))

    async def content(self, asking: Asking) -> None:
        """``GET /files/{id}/content``."""
        named, file = await self._log.file(asking.request.path_params["id"], asking.owner)
        headers = [(b"content-type", b"application/jsonl"), (b"content-length", str(file.size).encode())]
        began = False
        async for piece in self._log.content(named, file.parts):
            if not began:
                began = True
                await asking.send({"type": "http.response.start", "status": 200, "headers": headers})
            await asking.send({"type": "http.response.body", "body": piece, "more_body": True})
        if not began:
            await asking.send({"type": "http.response.start", "status": 200, "headers": headers})
        await asking.send({"type": "http.response.body", "body": b""})

    async def delete(self, asking: Asking) -> None:
        """``DELETE /files/{id}``."""
        named, file = await self._log.file(asking.request.path_params["id"], asking.owner)
        about_of(named, file.about)
        await self._log.add(FileDeleted(locator=named.locator, owner=asking.owner))
        await asking.answer({"id": named.name, "object": "file", "deleted": True})


def _about(upload: _Upload) -> dict[str, str]:
    purpose = bytes(upload.fields.get("purpose", b"")).decode("utf-8", "replace")
    if upload.filename is None:
        raise BadRequest("The form has no `file`.", code="missing_file")
    if purpose != PURPOSE:
        raise BadRequest(f"`purpose` is {PURPOSE!r}: other files are not used here.")
    if not upload.parts:
        raise BadRequest("The file is empty.")
    return {"filename": upload.filename, "purpose": purpose}
