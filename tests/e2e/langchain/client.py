"""LangChain's ChatOpenAI against a gateway; prints what it saw as JSON. Runs in an environment of its own."""

import asyncio
import json
import sys
from typing import Any

from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

IMAGE = "data:image/png;base64,iVBORw0KGgo="


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


class Animal(BaseModel):
    """What is asked for."""

    striped: bool


async def use(url: str, key: str, model: str, structured: str, *, responses: bool) -> dict[str, Any]:
    """All of it, through chat completions or Responses."""
    client = ChatOpenAI(
        base_url=url, api_key=key, model=model, use_responses_api=responses, stream_usage=True, max_retries=0
    )
    whole = await client.ainvoke("hello")
    pieces: list[AIMessageChunk] = [piece async for piece in client.astream("hello")]
    streamed = sum(pieces[1:], pieces[0])
    conversation: list[Any] = [HumanMessage("[[stub tool=2 chunks=0]]")]
    asked = await client.bind_tools([weather]).ainvoke(conversation)
    results = [ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in asked.tool_calls]
    told = await client.ainvoke([HumanMessage("hi"), asked, *results])
    content: Any = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": IMAGE}}]
    seen = await client.ainvoke([HumanMessage(content=content)])
    local = ChatOpenAI(base_url=url, api_key=key, model=structured, use_responses_api=responses, max_retries=0)
    animal = await local.with_structured_output(Animal, method="json_schema").ainvoke("a zebra")
    async for _ in client.astream("[[stub chunks=500 gap_ms=20]]"):
        break
    return {
        "whole": whole.text,
        "streamed": streamed.text,
        "usage": whole.usage_metadata and whole.usage_metadata["output_tokens"],
        "streamed_usage": streamed.usage_metadata and streamed.usage_metadata["output_tokens"],
        "calls": [[call["name"], call["args"]] for call in asked.tool_calls],
        "told": bool(told.text),
        "seen": bool(seen.text),
        "structured": type(animal).__name__,
    }


async def main() -> None:
    """Arguments: the base URL, a key, a model of the stub, a model that gives structured output."""
    url, key, model, structured = sys.argv[1:]
    found = {
        "chat": await use(url, key, model, structured, responses=False),
        "responses": await use(url, key, model, structured, responses=True),
    }
    sys.stdout.write(json.dumps(found))


asyncio.run(main())
