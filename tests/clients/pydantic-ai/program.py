"""``pydantic-ai``: agents over chat completions, Responses and Messages."""

from typing import Any

import anthropic
import openai
from cases import ENDLESS, IMAGE, KEY, THOUGHT, URL, cancelled, expect, flaky, left, run, sent, shown, weather
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, ModelHTTPError, NativeOutput
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider


class Animal(BaseModel):
    """An animal."""

    striped: bool


def models(model: str, key: str = KEY, retries: int = 0) -> list[Any]:
    """One a surface."""
    ours = OpenAIProvider(openai_client=openai.AsyncOpenAI(base_url=URL, api_key=key, max_retries=retries))
    claude = AnthropicProvider(
        anthropic_client=anthropic.AsyncAnthropic(base_url=URL, api_key=key, max_retries=retries)
    )
    return [
        OpenAIChatModel(model, provider=ours),
        OpenAIResponsesModel(model, provider=ours),
        AnthropicModel(model, provider=claude),
    ]


async def chat(model: str) -> None:
    for one in models(model):
        done = await Agent(one, instructions="Be brief.").run("hello")
        expect(done.output, one)
        expect((await Agent(one).run("and then?", message_history=done.all_messages())).output, one)


async def stream(model: str) -> None:
    for one in models(model):
        async with Agent(one).run_stream("hello") as done:
            text = "".join([piece async for piece in done.stream_text(delta=True)])
        expect(text and text == (await Agent(one).run("hello")).output, text)


async def loop(model: str, count: int) -> None:
    for one in models(model):
        agent = Agent(one, tools=[weather])
        done = await agent.run(f"[[stub tool={count} chunks=0]]")
        expect(done.output and sent(model).count("sunny in Graz") == count, done.all_messages())


async def tools(model: str) -> None:
    await loop(model, 1)


async def parallel(model: str) -> None:
    await loop(model, 2)


async def structured(model: str) -> None:
    for one in models(model):
        for form in (Animal, NativeOutput(Animal)):
            if isinstance(one, AnthropicModel) and form is not Animal:
                continue  # its profile says which of Anthropic's own models have it
            done = await Agent(one, output_type=form).run("a zebra?")
            expect(done.output == Animal(striped=True), done.output)


async def images(model: str) -> None:
    import base64

    for one in models(model):
        await Agent(one).run(["what?", BinaryContent(base64.b64decode(IMAGE), media_type="image/png")])
        expect(shown(model), one)


async def thinking(model: str) -> None:
    _, responses, claude = models(model)
    asked = OpenAIResponsesModelSettings(openai_reasoning_effort="low", openai_reasoning_summary="auto")
    budget = AnthropicModelSettings(anthropic_thinking={"type": "enabled", "budget_tokens": 2048}, max_tokens=4096)
    for one, settings in ((responses, asked), (claude, budget)):
        done = await Agent(one, model_settings=settings).run("[[stub think=1]]")
        thoughts = [part.content for part in done.response.parts if part.part_kind == "thinking"]
        expect("".join(thoughts) == THOUGHT, done.response.parts)
        more = await Agent(one, model_settings=settings).run("and?", message_history=done.all_messages())
        expect(more.output, more)


async def errors(model: str) -> None:
    for one, status in [
        *((one, 429) for one in models(model)),
        *((one, 400) for one in models("no/such")),
        *((one, 401) for one in models(model, "sk-no")),
    ]:
        try:
            await Agent(one).run("[[stub error=429]]" if status == 429 else "hi")
        except ModelHTTPError as error:
            expect(error.status_code == status, error)
        else:
            raise AssertionError("no error")


async def retries(model: str) -> None:
    for one in models(model, retries=2):
        expect((await Agent(one).run(flaky(model))).output, one)


async def cancel(model: str) -> None:
    import asyncio

    for one in models(model):
        before = cancelled()

        began = asyncio.Event()

        async def begin(one: Any = one, began: asyncio.Event = began) -> None:
            async with Agent(one).run_stream(ENDLESS) as done:
                async for _ in done.stream_text(delta=True, debounce_by=None):
                    began.set()

        task = asyncio.create_task(begin())
        await began.wait()
        task.cancel()
        await asyncio.wait({task})
        await asyncio.to_thread(left, before)


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
    cancel=cancel,
)
