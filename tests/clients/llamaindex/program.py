"""LlamaIndex: OpenAILike and OpenAIEmbedding."""

import base64
import gc
from typing import Any

import openai
from cases import ENDLESS, IMAGE, KEY, URL, cancelled, expect, fails, flaky, left, run, sent, shown, weather
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel


class Animal(BaseModel):
    """An animal."""

    striped: bool


def client(model: str, key: str = KEY, retries: int = 0) -> Any:
    return OpenAILike(
        model=model,
        api_base=URL,
        api_key=key,
        max_retries=retries,
        is_chat_model=True,
        is_function_calling_model=True,
        should_use_structured_outputs=True,
        context_window=128_000,
    )


def chat(model: str) -> None:
    expect(client(model).chat([ChatMessage("hello")]).message.content, "no answer")


def stream(model: str) -> None:
    pieces = list(client(model).stream_chat([ChatMessage("hello")]))
    expect(pieces[-1].message.content == client(model).chat([ChatMessage("hello")]).message.content, pieces[-1])


async def loop(model: str, count: int) -> None:
    agent = FunctionAgent(tools=[FunctionTool.from_defaults(weather)], llm=client(model), system_prompt="Be brief.")
    done = await agent.run(f"[[stub tool={count} chunks=0]]")
    expect(str(done) and sent(model).count("sunny in Graz") == count, done)


async def tools(model: str) -> None:
    await loop(model, 1)


async def parallel(model: str) -> None:
    await loop(model, 2)


def structured(model: str) -> None:
    shaped = client(model).as_structured_llm(Animal)
    expect(shaped.chat([ChatMessage("a zebra?")]).raw == Animal(striped=True), "form")


def images(model: str) -> None:
    blocks = [TextBlock(text="what?"), ImageBlock(image=base64.b64decode(IMAGE), image_mimetype="image/png")]
    client(model).chat([ChatMessage(role="user", blocks=blocks)])
    expect(shown(model), "image")


def errors(model: str) -> None:
    def ask(name: str, text: str, key: str = KEY) -> Any:
        return client(name, key).chat([ChatMessage(text)])

    fails(lambda: ask(model, "[[stub error=429]]"), openai.RateLimitError)
    fails(lambda: ask("no/such", "hi"), openai.BadRequestError)
    fails(lambda: ask(model, "hi", "sk-no"), openai.AuthenticationError)


def retries(model: str) -> None:
    expect(client(model, retries=2).chat([ChatMessage(flaky(model))]).message.content, "no answer")


def cancel(model: str) -> None:
    before = cancelled()
    pieces = client(model).stream_chat([ChatMessage(ENDLESS)])
    next(pieces)
    pieces.close()
    del pieces
    gc.collect()  # nothing else ends the request below the generator
    left(before)


def embeddings(model: str) -> None:
    made = OpenAIEmbedding(model_name="stub/embed", api_base=URL, api_key=KEY)
    expect(len(made.get_text_embedding_batch(["a", "b"])) == 2, "no vectors")


run(
    chat=chat,
    stream=stream,
    tools=tools,
    parallel=parallel,
    structured=structured,
    images=images,
    errors=errors,
    retries=retries,
    cancel=cancel,
    embeddings=embeddings,
)
