"""``openai-agents``: agents over Responses and chat completions."""

from typing import Any

import openai
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from cases import IMAGE, KEY, URL, expect, flaky, run, sent, shown, weather
from openai.types.shared import Reasoning
from pydantic import BaseModel

set_tracing_disabled(True)


class Animal(BaseModel):
    """An animal."""

    striped: bool


def models(model: str, key: str = KEY, retries: int = 0) -> list[Any]:
    """One a surface."""
    client = openai.AsyncOpenAI(base_url=URL, api_key=key, max_retries=retries)
    return [
        OpenAIResponsesModel(model=model, openai_client=client),
        OpenAIChatCompletionsModel(model=model, openai_client=client),
    ]


def agent(one: Any, **more: Any) -> Agent[Any]:
    return Agent(name="one", instructions="Be brief.", model=one, **more)


async def chat(model: str) -> None:
    for one in models(model):
        done = await Runner.run(agent(one), "hello")
        expect(done.final_output, done)
        more = await Runner.run(agent(one), [*done.to_input_list(), {"role": "user", "content": "and then?"}])
        expect(more.final_output, more)


async def stream(model: str) -> None:
    for one in models(model):
        running = Runner.run_streamed(agent(one), "hello")
        kinds = [event.type async for event in running.stream_events()]
        expect(running.final_output == (await Runner.run(agent(one), "hello")).final_output, kinds)


async def loop(model: str, count: int) -> None:
    for one in models(model):
        helper = agent(one, tools=[function_tool(weather)])
        done = await Runner.run(helper, f"[[stub tool={count} chunks=0]]")
        expect(done.final_output and sent(model).count("sunny in Graz") == count, done)
        running = Runner.run_streamed(helper, f"[[stub tool={count} chunks=0]]")
        async for _ in running.stream_events():
            pass
        expect(running.final_output and sent(model).count("sunny in Graz") == count, running)


async def tools(model: str) -> None:
    await loop(model, 1)


async def parallel(model: str) -> None:
    await loop(model, 2)


async def structured(model: str) -> None:
    for one in models(model):
        done = await Runner.run(agent(one, output_type=Animal), "a zebra?")
        expect(done.final_output == Animal(striped=True), done.final_output)


async def images(model: str) -> None:
    content = [
        {"type": "input_text", "text": "what?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}", "detail": "auto"},
    ]
    for one in models(model):
        await Runner.run(agent(one), [{"role": "user", "content": content}])
        expect(shown(model), one)


async def thinking(model: str) -> None:
    settings = ModelSettings(reasoning=Reasoning(effort="low", summary="auto"))
    for one in models(model):
        helper = agent(one, model_settings=settings, tools=[function_tool(weather)])
        done = await Runner.run(helper, "[[stub think=1 tool=1 chunks=0]]")
        expect(done.final_output and "sunny in Graz" in sent(model), done)
        if isinstance(one, OpenAIResponsesModel):
            expect(any(item.type == "reasoning_item" for item in done.new_items), done.new_items)


async def errors(model: str) -> None:
    for one, kind in [
        *((one, openai.RateLimitError) for one in models(model)),
        *((one, openai.BadRequestError) for one in models("no/such")),
        *((one, openai.AuthenticationError) for one in models(model, "sk-no")),
    ]:
        try:
            await Runner.run(agent(one), "[[stub error=429]]" if kind is openai.RateLimitError else "hi")
        except kind:
            continue
        raise AssertionError("no error")


async def retries(model: str) -> None:
    for one in models(model, retries=2):
        expect((await Runner.run(agent(one), flaky(model))).final_output, one)


run(
    chat=chat,
    stream=stream,
    tools=tools,
    parallel=parallel,
    structured=structured,
    images=images,
    thinking=thinking,
    errors=errors,
    retries=retries,
)
