"""One request to MCP servers: a call of one tool, or the tools of all servers of an owner."""

import asyncio
import sys
import time

import structlog

from contracts.clock import now_ms
from contracts.control import PolicySet
from contracts.mcp import MODEL, server_of
from contracts.record import Refusal
from contracts.replies import Outcome
from contracts.routes import Target
from libs.mcp import client, messages
from libs.mcp.client import Answer
from libs.mcp.envelope import Envelope
from libs.mcp.messages import Json
from libs.mcp.server import for_client
from libs.sealing.hybrid import SealError
from services.relay.calling import NO_GRANT
from services.relay.core.ending import FAULT, Ending, failed
from services.relay.core.job import Job
from services.relay.core.servers import MOST_PAGES, MOST_TOOLS, broke_off, list_of, listed, timed_out
from services.relay.endings import CANCELLED, STOPPED
from services.relay.means import Means
from services.relay.reply_stream import ReplyStream
from services.relay.servers import Server
from services.relay.upstream import UpstreamError

log = structlog.get_logger()


class ServerAttempt:
    """Runs a route to MCP servers. `run` always returns an ending, unless its task is cancelled from outside.

    A call is made once, whatever becomes of it: a tool may have done what it was asked for.
    """

    answer_key = None
    kept = None

    def __init__(self, job: Job, stream: ReplyStream, means: Means, policy: PolicySet | None) -> None:
        """
        Args:
            policy: of the client's organization.
        """
        self._route = job.route
        self._prompt = job.prompt
        self._stream = stream
        self._grants = means.grants
        self._servers = means.servers
        self._list_s = means.list_s
        self._policy = policy
        self._task: asyncio.Task[Json] | None = None
        self._stop_as: Outcome | None = None
        self._began = time.monotonic()

    def read(self, size: int) -> None:
        """The client has been sent so much of the stream, in all."""
        self._stream.read(size)

    def stop(self, outcome: Outcome) -> None:
        """Ends it as CANCELLED or INTERRUPTED, and closes the connections to servers."""
        self._stop_as = self._stop_as or outcome
        self._stream.read(sys.maxsize)
        if self._task:
            self._task.cancel()

    def leave(self) -> bool:
        """Nobody goes on with it: a tool may have done what it was asked for."""
        return False

    def never_begun(self) -> Ending:
        """It was cancelled before."""
        return Ending(Outcome.CANCELLED, status=499, attempts=0)

    async def run(self) -> Ending:
        """Asks, and gives the client the answer."""
        try:
            envelope = Envelope.decode(self._prompt.body)
        except (ValueError, TypeError, KeyError):
            return failed(FAULT)
        self._task = asyncio.create_task(self._within_deadline(envelope))
        if self._stop_as is not None:
            self._task.cancel()
        await asyncio.wait({self._task})
        ending = await self._ending(envelope, self._task)
        ending.target = self._route.targets[0]
        ending.upstream_ms = int((time.monotonic() - self._began) * 1000)
        return ending

    async def _ending(self, envelope: Envelope, task: "asyncio.Task[Json]") -> Ending:
        if task.cancelled():
            ending = failed(CANCELLED if self._stop_as is Outcome.CANCELLED else STOPPED)
            ending.outcome = self._stop_as or Outcome.INTERRUPTED
            return await self._with_error_event(ending, envelope)
        error = task.exception()
        if isinstance(error, UpstreamError):
            return await self._with_error_event(failed(error.refusal), envelope)
        if error is not None:
            log.error("MCP request failed", request_id=self._route.request_id, error=type(error).__name__)
            return await self._with_error_event(failed(FAULT), envelope)
        message = messages.message(envelope.id, task.result())
        if not self._stream.started:
            return Ending(Outcome.COMPLETED, body=message.decode())
        await self._stream.close()
        return Ending(Outcome.COMPLETED, tail=self._stream.tail(_event(message)), size=self._stream.size)

    async def _with_error_event(self, ending: Ending, envelope: Envelope) -> Ending:
        """Where the client has a stream, its last event is the error."""
        if self._stream.started and ending.refusal:
            await self._stream.close()
            refusal, ending.size = ending.refusal, self._stream.size
            message = messages.error(envelope.id, refusal.status, refusal.message, dict(refusal.metadata))
            ending.tail = self._stream.tail(_event(message))
        return ending

    async def _within_deadline(self, envelope: Envelope) -> Json:
        try:
            async with asyncio.timeout((self._route.deadline_ms - now_ms()) / 1000):
                if self._route.model == MODEL:
                    return await self._list(envelope)
                return await self._call(self._route.targets[0], envelope)
        except TimeoutError:
            raise UpstreamError(timed_out(_name(self._route.targets[0]))) from None

    async def _call(self, target: Target, envelope: Envelope) -> Json:
        server = await self._open(target)

        async def pass_on(notification: Json) -> None:
            if self._route.stream:
                self._stream.write(_event(messages.encoded(notification)))
                await self._stream.drain()

        async with server.session() as session:
            # The tool is the one that policy has seen.
            answer = await server.ask(client.call(session, target.upstream_model, envelope), pass_on)
        return _for_client(answer, _name(target), modern=envelope.modern)

    async def _list(self, envelope: Envelope) -> Json:
        targets = self._route.targets
        found = await asyncio.gather(*(self._tools(target) for target in targets), return_exceptions=True)
        tools: list[Json] = []
        missing: dict[str, str] = {}
        for target, one in zip(targets, found, strict=True):
            if isinstance(one, list):
                tools += one
            elif isinstance(one, UpstreamError):
                missing[_name(target)] = one.refusal.message
            else:
                raise one
        if len(missing) == len(targets):
            raise next(one for one in found if isinstance(one, UpstreamError))
        return {"result": for_client(list_of(tools, missing), modern=envelope.modern)}

    async def _tools(self, target: Target) -> list[Json]:
        name, pages = _name(target), list[Json]()
        try:
            async with asyncio.timeout(self._list_s):
                server = await self._open(target)
                async with server.session() as session:
                    cursor = None
                    while len(pages) < MOST_PAGES and sum(len(page.get("tools") or ()) for page in pages) < MOST_TOOLS:
                        answer = await server.ask(client.listing(session, cursor))
                        if answer.result is None or not isinstance(answer.result.get("tools"), list):
                            raise UpstreamError(broke_off(name))
                        pages.append(answer.result)
                        cursor = client.next_page(answer.result)
                        if cursor is None:
                            break
        except TimeoutError:
            raise UpstreamError(timed_out(name)) from None
        return listed(pages, name, self._policy, self._route.caller.role)

    async def _open(self, target: Target) -> Server:
        try:
            secret = await self._grants.open(target.grant, self._route.request_id)
        except SealError as error:
            log.error("grant refused", request_id=self._route.request_id, reason=str(error))
            raise UpstreamError(NO_GRANT) from None
        return self._servers.server(_name(target), secret)


def _name(target: Target) -> str:
    return server_of(target.provider_id) or target.provider_id


def _for_client(answer: Answer, name: str, *, modern: bool) -> Json:
    if answer.result is None:
        return {"error": answer.error}
    if not modern and answer.result.get("resultType") not in (None, "complete"):
        raise UpstreamError(
            Refusal(status=502, message=f"The MCP server {name} asks back, which this client's revision of MCP cannot.")
        )
    return {"result": for_client(answer.result, modern=modern)}


def _event(message: bytes) -> str:
    return f"event: message\ndata: {message.decode()}\n\n"
