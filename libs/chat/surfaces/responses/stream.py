"""Streams of OpenAI's Responses. Sans-I/O.

Source: the OpenAI API reference, "Streaming events".
"""

from typing import cast

from libs.chat.shapes.completion import Chunk, Detail, ToolCall
from libs.chat.shapes.responses import Item, Response, ResponsesRequest
from libs.chat.surfaces.responses.answer import (
    FORMS,
    begun_response,
    call_item,
    ended_response,
    message_item,
    new_id,
    reasoning_item,
)
from libs.chat.surfaces.responses.tools import custom_item, custom_names, input_of
from libs.chat.surfaces.thoughts import Carried, add, carried_by, is_opaque
from libs.chat.surfaces.turns import Piece, Turns
from libs.chat.surfaces.writer import named_event


class ResponsesWriter:
    """A stream of chat chunks as the events of a response: items that are added, grow and are done, one by one."""

    def __init__(self, model: str, body: ResponsesRequest) -> None:
        self._model = model
        self._body = body
        self._number = 0
        self._response: Response = {}
        self._output: list[Item] = []
        self._kind: str | None = None
        self._text: list[str] = []
        self._item: Item = {}
        self._reason: str | None = None
        self._carried = Carried()
        self._turns = Turns()
        self._custom = custom_names(body)

    def chunk(self, chunk: Chunk) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        pieces, reason = self._turns.of_chunk(chunk)
        self._reason = reason or self._reason
        return self._begin(chunk) + "".join(map(self._write, pieces))

    def finish(self, tail: Chunk | None) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        out = self._begin(tail or {}) + "".join(map(self._write, self._turns.rest())) + self._close()
        response = ended_response(self._response, self._output, self._reason, (tail or {}).get("usage"))
        return out + self._event(f"response.{response['status']}", response=response)

    def _begin(self, chunk: Chunk) -> str:
        if self._response:
            return ""
        self._response = begun_response(chunk, self._body, self._model)
        return self._event("response.created", response=self._response) + self._event(
            "response.in_progress", response=self._response
        )

    def _write(self, piece: Piece) -> str:
        kind, content = piece
        match kind:
            case "reasoning":
                return self._grow_thought(cast("str", content))
            case "details":
                return self._keep(cast("list[Detail]", content))
            case "content":
                return self._grow_text("message", cast("str", content))
            case "refusal":
                return self._grow_text("refusal", cast("str", content))
            case _:
                return self._grow_call(f"call {kind}", cast("ToolCall", content))

    def _grow_thought(self, text: str) -> str:
        out = ""
        if self._kind != "reasoning":
            out = self._open("reasoning", reasoning_item(new_id("rs"), ""))
        if not self._text:
            part = {"type": "summary_text", "text": ""}
            out += self._event("response.reasoning_summary_part.added", **self._position("summary_index"), part=part)
        self._text.append(text)
        return out + self._event("response.reasoning_summary_text.delta", **self._position("summary_index"), delta=text)

    def _keep(self, details: list[Detail]) -> str:
        """What only the model can read belongs to the thought that is open, or is one without a text."""
        out = ""
        if self._kind != "reasoning":
            details = [detail for detail in details if is_opaque(detail)]
            out = self._open("reasoning", reasoning_item(new_id("rs"), "")) if details else ""
        add(self._carried.details, details)
        return out

    def _grow_text(self, kind: str, text: str) -> str:
        out, form = "", FORMS[kind]
        if self._kind != kind:
            out = self._open(kind, message_item(new_id("msg"), None))
            out += self._event("response.content_part.added", **self._position("content_index"), part=form.part(""))
        self._text.append(text)
        return out + self._event(f"{form.event}.delta", **self._position("content_index"), delta=text, **form.more)

    def _grow_call(self, kind: str, call: ToolCall) -> str:
        out, function = "", call.get("function") or {}
        if self._kind != kind:
            if carried := carried_by(call):
                out, self._carried = self._open("reasoning", reasoning_item(new_id("rs"), "")), carried
            out += self._open(kind, self._begun(call.get("id"), function.get("name")))
        if arguments := function.get("arguments"):
            self._text.append(arguments)
            # Of a custom tool's input only the whole can be read.
            if self._item["type"] == "custom_tool_call":
                return out
            out += self._event("response.function_call_arguments.delta", **self._position(), delta=arguments)
        return out

    def _begun(self, call_id: str | None, name: str | None) -> Item:
        if name in self._custom:
            return custom_item(new_id("ctc"), call_id, name, "", "in_progress")
        return call_item(new_id("fc"), call_id, name, "", "in_progress")

    def _open(self, kind: str, item: Item) -> str:
        out = self._close()
        self._kind, self._item, self._text = kind, item, []
        return out + self._event("response.output_item.added", output_index=len(self._output), item=item)

    def _close(self) -> str:
        if self._kind is None:
            return ""
        kind, item, text = self._kind, self._item, "".join(self._text)
        item_id = str(item["id"])
        self._kind = None
        if kind in FORMS:
            form, position = FORMS[kind], self._position("content_index")
            part = form.part(text)
            out = self._event(f"{form.event}.done", **position, **{form.field: text}, **form.more)
            out += self._event("response.content_part.done", **position, part=part)
            item = message_item(item_id, part)
        elif kind == "reasoning":
            out = ""
            if text:
                position, part = self._position("summary_index"), {"type": "summary_text", "text": text}
                out = self._event("response.reasoning_summary_text.done", **position, text=text)
                out += self._event("response.reasoning_summary_part.done", **position, part=part)
            item = reasoning_item(item_id, text, self._carried)
            self._carried = Carried()
        elif item["type"] == "custom_tool_call":
            given, position = input_of(text), self._position()
            out = self._event("response.custom_tool_call_input.delta", **position, delta=given)
            out += self._event("response.custom_tool_call_input.done", **position, input=given)
            item = custom_item(item_id, item["call_id"], item["name"], given)
        else:
            out = self._event(
                "response.function_call_arguments.done", **self._position(), name=item["name"], arguments=text
            )
            item = call_item(item_id, item["call_id"], item["name"], text)
        out += self._event("response.output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)
        return out

    def _position(self, inner: str | None = None) -> dict[str, object]:
        position: dict[str, object] = {"item_id": self._item["id"], "output_index": len(self._output)}
        return position | ({inner: 0} if inner else {})

    def _event(self, kind: str, **content: object) -> str:
        self._number += 1
        return named_event({"type": kind, "sequence_number": self._number - 1, **content})
