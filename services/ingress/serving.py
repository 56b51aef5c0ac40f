"""Requests that were let in: onto the log, and their answers to those who wait for them."""

import asyncio
from dataclasses import dataclass

import orjson
from starlette.types import Receive, Send

from contracts.prompts import PromptSubmitted
from contracts.record import Lasting, Refusal
from contracts.replies import STREAM_WINDOW, ReplyChunk, ReplyEnded, ReplyStarted, reader_of
from contracts.requests import RequestAccepted
from libs.config.gateway import Timeouts
from services.ingress.again import Again
from services.ingress.attending import watch_connection
from services.ingress.background import BackgroundResponses
from services.ingress.core.answering import Answering
from services.ingress.core.answers import Message, whole
from services.ingress.core.errors import IngressError
from services.ingress.core.stream_ids import StreamId
from services.ingress.door import Stay
from services.ingress.entrance import Admitted, Entrance
from services.ingress.measuring import measure_admitted
from services.ingress.once import Wanted
from services.ingress.publishing import Publishing
from services.ingress.replies import RepliesReader
from services.ingress.visitors import Visitor
from services.ingress.waiting import Waiting, WaitingRoom

GONE = Refusal(status=499, message="The client closed the connection.")
OVERDUE_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class Client:
    """One request's connection."""

    stay: Stay
    receive: Receive
    send: Send
    began_s: float

    async def send_all(self, messages: list[Message]) -> None:
        """In order."""
        for message in messages:
            await self.send(message)


class Serving:
    """Has requests answered, and gives the answers as they come."""

    def __init__(
        self,
        publishing: Publishing,
        room: WaitingRoom,
        replies: RepliesReader,
        timeouts: Timeouts,
        background: BackgroundResponses,
        entrance: Entrance,
    ) -> None:
        self._entrance = entrance
        self._publishing = publishing
        self._room = room
        self._replies = replies
        self._timeouts = timeouts
        self._background = background

    async def serve(self, admitted: Admitted, client: Client, answering: Answering | None = None) -> None:
        """Publishes a request, and answers its client.

        Args:
            answering: None: as its surface has it.
        """
        request, step = admitted.request, admitted.step
        headers = [(b"x-request-id", request.request_id.encode())]
        answering = answering or Answering(request.surface, headers, looked_up=request.cache is not None)
        waiting = self._enter(admitted)
        watcher = asyncio.create_task(watch_connection(client.receive, waiting, GONE))
        # Who comes again with its key finds the request, should the log have it.
        status, cancels = 500, request.reply_to.lasting is not Lasting.KEPT
        goes_on = False
        try:
            begun = await self._publish(admitted, waiting, client.stay)
            if begun is not None:
                status, cancels, goes_on = 200, False, True
                self._background.go_on(request, waiting, self._room, within_s=self._timeouts.request_s)
                await client.send_all(whole(200, orjson.dumps(begun), headers))
            else:
                status = await self._answer(admitted, waiting, answering, client)
                cancels = status != GONE.status or request.reply_to.lasting is Lasting.CONNECTION
        except IngressError as error:
            status = error.status
            await client.send_all(answering.refused(error.refusal, answering.headers))
        except asyncio.CancelledError:
            # This ingress stops; its client goes on at another.
            cancels = False
            raise
        finally:
            watcher.cancel()
            if not goes_on:
                self._room.leave(request.request_id)
                admitted.body.release()
            if cancels and not waiting.answered:
                self._publishing.cancel(request.request_id, step.traceparent)
            measure_admitted(request, status, client.began_s, step.traceparent)
            step.note({"http.response.status_code": status})
            step.end(None if status < 400 else str(status))

    async def show_again(self, again: Again, wanted: Wanted, visitor: Visitor, client: Client) -> int:
        """Shows a response in the background, as it is now, to who sends its key. Returns its status."""
        client.stay.answered(0)
        reader = reader_of(visitor.caller.account_id if visitor.caller else None, visitor.address)
        shown = await self._background.show(wanted.owner, wanted.response_id(again.held), reader)
        await client.send_all(whole(200, orjson.dumps(shown), again.headers))
        return 200

    def _enter(self, admitted: Admitted) -> Waiting:
        request = admitted.request
        return self._room.enter(
            request.request_id,
            request.reply_to,
            self._replies.position(request.reply_to),
            due_s=asyncio.get_running_loop().time() + self._timeouts.request_s + OVERDUE_AFTER_S,
            seal=admitted.seal,
        )

    async def _publish(self, admitted: Admitted, waiting: Waiting, stay: Stay) -> dict[str, object] | None:
        """Puts a request onto the log, and its prompt unless that waits for the route.

        Returns:
            the response that its client is given now, where it does not wait for the answer.
        """
        request, background, trace = admitted.request, admitted.background, admitted.step.traceparent
        begun = None
        try:
            if background:
                begun = await self._background.begin(request, background, waiting.position)
            stay.published()
            prompt = PromptSubmitted(
                request_id=request.request_id,
                content=admitted.body.data,
                content_type=admitted.content_type,
                answer_key=admitted.seal,
                response_id=background.response_id if background else None,
            )
            if request.prompt_waits:
                waiting.withhold(self._publishing.withhold(prompt, admitted.body, trace))
                await self._publishing.publish(request, None, trace)
            else:
                await self._publishing.publish(request, prompt, trace)
                # An answer takes long, and the log has the prompt.
                admitted.body.release()
        except BaseException:
            if begun is not None:
                self._background.never_begun(request)
            raise
        return begun

    async def _answer(self, admitted: Admitted, waiting: Waiting, answering: Answering, client: Client) -> int:
        request, stay, noted = admitted.request, client.stay, 0
        while True:
            reply = await waiting.next()
            if isinstance(reply, ReplyChunk):
                await client.send(answering.chunk(reply))
                if reply.end - noted >= STREAM_WINDOW // 2:
                    noted = reply.end
                    if request.reply_to.lasting is Lasting.CONNECTION:
                        self._publishing.note_read(request.request_id, noted, admitted.step.traceparent)
                continue
            if reply is None:
                messages = answering.silence()
            elif isinstance(reply, ReplyStarted):
                stay.answered(reply.upstream_ms + reply.waited_ms)
                messages = answering.started(reply, [_stream_header(request, waiting)])
            elif reply.refusal is GONE:
                return GONE.status
            else:
                if waiting.answered:
                    stay.answered(reply.upstream_ms + reply.waited_ms)
                messages = answering.ended(reply, [] if reply.refusal else [_stream_header(request, waiting)])
            await client.send_all(messages)
            if isinstance(reply, ReplyEnded):
                self._entrance.note_counted(admitted, reply)
                return reply.status


def _stream_header(request: RequestAccepted, waiting: Waiting) -> tuple[bytes, bytes]:
    kept = request.reply_to.lasting is Lasting.KEPT
    found = StreamId(request.reply_to.partition, waiting.position, request.request_id, kept)
    return (b"x-sluice-stream", found.encode().encode())
