"""From a message of MCP to the record of an accepted request, and from records to messages. Pure."""

from collections.abc import Container, Mapping

from contracts.mcp import MODEL, provider_of, split_name
from contracts.record import Refusal, ReplyAddress
from contracts.requests import Caller, RequestAccepted, Surface, Voucher
from libs.config.gateway import McpSettings, Timeouts
from libs.mcp.client import is_tool_name
from libs.mcp.messages import INTERNAL_ERROR, INVALID_PARAMS, Id, RpcError, error
from libs.mcp.server import Served
from libs.sealing.credentials import credential_id
from services.ingress.core.answering import Answering
from services.ingress.core.answers import Message, RawHeaders, whole
from services.ingress.core.labels import labels

UNAUTHENTICATED = (b"www-authenticate", b"Bearer")


def accept(
    served: Served,
    caller: Caller,
    headers: Mapping[str, str],
    *,
    request_id: str,
    voucher: Voucher | None,
    known: Container[str],
    catalog_version: int,
    prompt_bytes: int,
    reply_to: ReplyAddress,
    timeouts: Timeouts,
    settings: McpSettings,
    now_ms: int,
) -> RequestAccepted:
    """The record of a request that is let in.

    Args:
        headers: by lower-case name.
        known: IDs of what is stored for owners, servers among it.

    Raises:
        RpcError: its owner has no such server, or the tool's name can be none.
        BadRequest: a label is wrong.
    """
    model, tool = MODEL, None
    if served.tool is not None:
        server, tool = split_name(served.tool)
        model = provider_of(server)
        if not is_tool_name(tool) or credential_id(caller.owner, model) not in known:
            message = f"There is no tool {served.tool[:200]!r} here; tools/list names those that there are."
            raise RpcError(INVALID_PARAMS, message, status=200, id=served.message.id)
    within_s = min(settings.call_s, timeouts.request_s)
    return RequestAccepted(
        request_id=request_id,
        subject=caller.owner,
        caller=caller,
        voucher=voucher,
        surface=Surface.MCP,
        model=model,
        tool=tool,
        stream="text/event-stream" in headers.get("accept", ""),
        catalog_version=catalog_version,
        accepted_at_ms=now_ms,
        route_by_ms=now_ms + int(timeouts.route_s * 1000),
        deadline_ms=now_ms + int(within_s * 1000),
        prompt_bytes=prompt_bytes,
        reply_to=reply_to,
        labels=labels({}, headers),
    )


class McpAnswering(Answering):
    """Refusals as JSON-RPC errors. They have the status 200: clients take another one for the end of their session."""

    __slots__ = ("_id",)

    def __init__(self, id: Id, headers: RawHeaders) -> None:
        super().__init__(Surface.MCP, headers)
        self._id = id

    def refused(self, refusal: Refusal, headers: RawHeaders) -> list[Message]:
        """See `Answering.refused`."""
        if refusal.retry_after_s is not None:
            headers = [*headers, (b"retry-after", str(refusal.retry_after_s).encode())]
        return whole(200, refused_message(self._id, refusal), headers)

    def _error(self, refusal: Refusal) -> str:
        return f"event: message\ndata: {refused_message(self._id, refusal).decode()}\n\n"


def refused_message(id: Id | None, refusal: Refusal) -> bytes:
    """A refusal as an error. Its code is the status that it has on other surfaces: outside of what JSON-RPC reserves
    (MCP 2026-07-28, "Error Codes")."""
    data = dict(refusal.metadata)
    if refusal.retry_after_s is not None:
        data["retry_after_s"] = refusal.retry_after_s
    code = INTERNAL_ERROR if refusal.status == 500 else refusal.status
    return error(id, code, refusal.message, data)
