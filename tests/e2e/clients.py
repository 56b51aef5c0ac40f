"""The three surfaces through the SDKs that people use, asked the same way, so that a test says it once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import anthropic
import openai

from tests.stacks import Gateway

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SCHEMA = {
    "type": "object",
    "properties": {"zebra": {"type": "boolean"}},
    "required": ["zebra"],
    "additionalProperties": False,
}
TOOL = "weather"
IMAGE = "iVBORw0KGgo="
"""Base64 of what a PNG begins with."""


@dataclass(frozen=True)
class Called:
    """A tool call."""

    id: str
    name: str
    arguments: Any


@dataclass(frozen=True)
class Said:
    """An answer."""

    text: str
    stop: Literal["end", "length", "tools"]
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    thought: str = ""
    calls: list[Called] = field(default_factory=list)
    again: Any = None
    """As the client sends it back."""


@dataclass(frozen=True)
class Result:
    """What a tool gave."""

    call_id: str
    text: str


@dataclass(frozen=True)
class Wish:
    """What is asked for beside the conversation."""

    tools: bool = False
    image: bool = False
    schema: bool = False
    think: bool = False
    limit: int = 4_096


Turn = str | Said | Result
NOTHING = Wish()


class _OpenAI:
    def __init__(self, gateway: Gateway, model: str) -> None:
        self._client = openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0)
        self._model = model

    async def ask(self, turns: Sequence[Turn], wish: Wish = NOTHING, *, stream: bool = False) -> Said:
        """One answer."""
        raise NotImplementedError

    async def refused(self, text: str) -> int:
        """The status of the error that the SDK makes of a refusal."""
        try:
            await self.ask([text])
        except openai.RateLimitError as error:
            return error.status_code
        raise AssertionError("no error")

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.close()


class ChatClient(_OpenAI):
    """``openai``, chat completions."""

    async def ask(self, turns: Sequence[Turn], wish: Wish = NOTHING, *, stream: bool = False) -> Said:
        """One answer."""
        ask: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "system", "content": "Be brief."}, *(self._turn(turn, wish) for turn in turns)],
            "max_tokens": wish.limit,
        }
        if wish.tools:
            ask["tools"] = [{"type": "function", "function": {"name": TOOL, "parameters": PARAMETERS}}]
        if wish.schema:
            form = {"name": "animal", "schema": SCHEMA, "strict": True}
            ask["response_format"] = {"type": "json_schema", "json_schema": form}
        if wish.think:
            ask["reasoning_effort"] = "low"
        if stream:
            completion = await self._streamed(ask)
        else:
            completion = await self._client.chat.completions.create(**ask)
        message: Any = completion.choices[0].message
        assert completion.usage
        details = completion.usage.prompt_tokens_details
        stops: dict[str, Any] = {"stop": "end", "length": "length", "tool_calls": "tools"}
        return Said(
            text=message.content or "",
            stop=stops[completion.choices[0].finish_reason],
            input_tokens=completion.usage.prompt_tokens,
            output_tokens=completion.usage.completion_tokens,
            cached_tokens=(details.cached_tokens or 0) if details else 0,
            thought=getattr(message, "reasoning_content", None) or "",
            calls=[
                Called(call.id, call.function.name, json.loads(call.function.arguments))
                for call in message.tool_calls or ()
            ],
            again=message.model_dump(exclude_none=True, exclude={"parsed"}),
        )

    async def leave(self, text: str) -> None:
        """Begins a stream and goes away."""
        messages: Any = [{"role": "user", "content": text}]
        stream = await self._client.chat.completions.create(model=self._model, messages=messages, stream=True)
        async for _ in stream:
            break
        await stream.close()

    async def _streamed(self, ask: dict[str, Any]) -> Any:
        from openai.lib.streaming.chat import ChatCompletionStreamState

        state: Any = ChatCompletionStreamState()
        counted: Any = {"stream": True, "stream_options": {"include_usage": True}}
        async for chunk in await self._client.chat.completions.create(**ask, **counted):
            state.handle_chunk(chunk)
        return state.current_completion_snapshot

    @staticmethod
    def _turn(turn: Turn, wish: Wish) -> Any:
        if isinstance(turn, Said):
            return turn.again
        if isinstance(turn, Result):
            return {"role": "tool", "tool_call_id": turn.call_id, "content": turn.text}
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}", "detail": "low"}}
        return {"role": "user", "content": [{"type": "text", "text": turn}, *([image] if wish.image else [])]}


class ResponsesClient(_OpenAI):
    """``openai``, Responses."""

    async def ask(self, turns: Sequence[Turn], wish: Wish = NOTHING, *, stream: bool = False) -> Said:
        """One answer."""
        ask: dict[str, Any] = {
            "model": self._model,
            "instructions": "Be brief.",
            "input": [item for turn in turns for item in self._items(turn, wish)],
            "max_output_tokens": wish.limit,
        }
        if wish.tools:
            ask["tools"] = [{"type": "function", "name": TOOL, "parameters": PARAMETERS, "strict": False}]
        if wish.schema:
            ask["text"] = {"format": {"type": "json_schema", "name": "animal", "schema": SCHEMA, "strict": True}}
        if wish.think:
            ask["reasoning"] = {"effort": "low", "summary": "auto"}
        if stream:
            events = [event async for event in await self._client.responses.create(**ask, stream=True)]
            last: Any = events[-1]
            assert last.type in ("response.completed", "response.incomplete")
            response: Any = last.response
        else:
            response = await self._client.responses.create(**ask)
        calls = [item for item in response.output if item.type == "function_call"]
        thoughts = [part.text for item in response.output if item.type == "reasoning" for part in item.summary]
        cut = response.incomplete_details is not None
        return Said(
            text=response.output_text,
            stop="length" if cut else "tools" if calls else "end",
            input_tokens=response.usage.input_tokens,
            output_tokens=response.usage.output_tokens,
            cached_tokens=response.usage.input_tokens_details.cached_tokens,
            thought="".join(thoughts),
            calls=[Called(call.call_id, call.name, json.loads(call.arguments)) for call in calls],
            again=[item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in response.output],
        )

    async def leave(self, text: str) -> None:
        """Begins a stream and goes away."""
        stream = await self._client.responses.create(model=self._model, input=text, stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()

    @staticmethod
    def _items(turn: Turn, wish: Wish) -> list[Any]:
        if isinstance(turn, Said):
            return list(turn.again)
        if isinstance(turn, Result):
            return [{"type": "function_call_output", "call_id": turn.call_id, "output": turn.text}]
        image = {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}", "detail": "low"}
        return [{"role": "user", "content": [{"type": "input_text", "text": turn}, *([image] if wish.image else [])]}]


class MessagesClient:
    """``anthropic``, Messages. It adds ``/v1/messages`` to its base URL, and sends its key as ``x-api-key``."""

    def __init__(self, gateway: Gateway, model: str) -> None:
        self._client = anthropic.AsyncAnthropic(base_url=gateway.base_url, api_key=gateway.key, max_retries=0)
        self._model = model

    async def ask(self, turns: Sequence[Turn], wish: Wish = NOTHING, *, stream: bool = False) -> Said:
        """One answer."""
        ask: dict[str, Any] = {
            "model": self._model,
            "system": "Be brief.",
            "messages": self._messages(turns, wish),
            "max_tokens": wish.limit,
        }
        if wish.tools:
            ask["tools"] = [{"name": TOOL, "input_schema": PARAMETERS}]
        if wish.schema:
            ask["extra_body"] = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
        if wish.think:
            ask["thinking"] = {"type": "enabled", "budget_tokens": 1_024}
        if stream:
            async with self._client.messages.stream(**ask) as events:
                message: Any = await events.get_final_message()
        else:
            message = await self._client.messages.create(**ask)
        stops: dict[str, Any] = {"end_turn": "end", "max_tokens": "length", "tool_use": "tools"}
        cached = message.usage.cache_read_input_tokens or 0
        return Said(
            text="".join(block.text for block in message.content if block.type == "text"),
            stop=stops[message.stop_reason],
            input_tokens=message.usage.input_tokens + cached,
            output_tokens=message.usage.output_tokens,
            cached_tokens=cached,
            thought="".join(block.thinking for block in message.content if block.type == "thinking"),
            calls=[Called(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"],
            again=[block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in message.content],
        )

    async def leave(self, text: str) -> None:
        """Begins a stream and goes away."""
        messages: Any = [{"role": "user", "content": text}]
        async with self._client.messages.stream(model=self._model, max_tokens=4_096, messages=messages) as stream:
            async for _ in stream.text_stream:
                break

    async def refused(self, text: str) -> int:
        """The status of the error that the SDK makes of a refusal."""
        try:
            await self.ask([text])
        except anthropic.RateLimitError as error:
            return error.status_code
        raise AssertionError("no error")

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.close()

    @staticmethod
    def _messages(turns: Sequence[Turn], wish: Wish) -> list[Any]:
        messages: list[Any] = []
        for turn in turns:
            if isinstance(turn, Said):
                messages.append({"role": "assistant", "content": turn.again})
                continue
            if isinstance(turn, Result):
                block: Any = {"type": "tool_result", "tool_use_id": turn.call_id, "content": turn.text}
                blocks = [block]
            else:
                source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
                blocks = [{"type": "image", "source": source}] if wish.image else []
                blocks.append({"type": "text", "text": turn})
            if messages and messages[-1]["role"] == "user":
                messages[-1]["content"] += blocks
            else:
                messages.append({"role": "user", "content": blocks})
        return messages


Client = ChatClient | ResponsesClient | MessagesClient
SURFACES: dict[str, type[Client]] = {"chat": ChatClient, "responses": ResponsesClient, "messages": MessagesClient}
