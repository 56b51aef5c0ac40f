"""Where files go: a folder, or a bucket of a store that speaks S3."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from libs.config.sinks import S3Sink
from services.sinks.core.s3 import PAGE_BYTES, Access, list_query, page_of, path_of, signed
from services.sinks.http import Http
from services.sinks.sink import UnavailableError

P = ParamSpec("P")
T = TypeVar("T")
HALF_WRITTEN = ".writing"


class Store(Protocol):
    """Keeps files by name. All of it raises UnavailableError while the store takes nothing."""

    async def start(self) -> None:
        """Makes ready; connects to nothing that may be away."""

    async def stop(self) -> None:
        """Closes what is open."""

    async def put(self, name: str, content: bytes) -> None:
        """Returns when the file is there for good, whole, in the place of an older one of that name."""

    async def names(self, folder: str, after: str = "") -> Sequence[str]:
        """Of the files below a folder, in their order.

        Args:
            folder: with a slash at its end; "": all.
            after: of the folder's own files, those whose names come after this one.
        """

    async def delete(self, name: str) -> None:
        """Deletes a file; nothing where there is none."""


class Folder:
    """Of this machine, or of what is mounted there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def start(self) -> None:
        """Nothing: the folder is made with its first file."""

    async def stop(self) -> None:
        """Nothing."""

    async def put(self, name: str, content: bytes) -> None:
        """See `Store.put`: a file is renamed to its name when it is on the disk."""
        await self._do(self._put, name, content)

    async def names(self, folder: str, after: str = "") -> Sequence[str]:
        """See `Store.names`."""
        return await self._do(self._names, folder, after)

    async def delete(self, name: str) -> None:
        """See `Store.delete`."""
        await self._do(self._delete, name)

    async def _do(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        try:
            return await asyncio.to_thread(call, *arguments, **named)
        except OSError as error:
            raise UnavailableError(f"the folder: {error.strerror or type(error).__name__}") from None

    def _put(self, name: str, content: bytes) -> None:
        file = self._path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        writing = file.with_name(file.name + HALF_WRITTEN)
        with writing.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        writing.replace(file)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _names(self, folder: str, after: str) -> list[str]:
        below = self._path / folder
        found = sorted(str(file.relative_to(self._path)) for file in below.rglob("*.parquet") if file.is_file())
        return [name for name in found if name > folder + after]

    def _delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self._path / name).unlink()


class Bucket:
    """Of Amazon S3, or of what speaks like it."""

    def __init__(self, config: S3Sink, access: Access) -> None:
        self._config = config
        self._access = access
        self._prefix = config.prefix.strip("/") + "/" if config.prefix.strip("/") else ""
        self._http = Http(config.url, config.timeout_s, private=config.private)

    async def start(self) -> None:
        """Makes a client."""
        await self._http.start()

    async def stop(self) -> None:
        """Closes it."""
        await self._http.stop()

    async def put(self, name: str, content: bytes) -> None:
        """See `Store.put`: an object is there whole, or not at all."""
        await self._send("PUT", path_of(self._config.bucket, self._prefix + name), content)

    async def names(self, folder: str, after: str = "") -> Sequence[str]:
        """See `Store.names`."""
        prefix, found, token = self._prefix + folder, list[str](), None
        while True:
            query = list_query(prefix, prefix + after if after else "", token)
            page = page_of(await self._send("GET", path_of(self._config.bucket, query=query)))
            found += [key.removeprefix(self._prefix) for key in page.keys]
            token = page.token
            if token is None:
                return found

    async def delete(self, name: str) -> None:
        """See `Store.delete`."""
        await self._send("DELETE", path_of(self._config.bucket, self._prefix + name))

    async def _send(self, method: str, path: str, content: bytes = b"") -> bytes:
        url = self._config.url.rstrip("/") + path
        headers = signed(self._access, method, url, content)
        answer = await self._http.send(method, content, headers, path=path, most_bytes=PAGE_BYTES)
        return answer.body
