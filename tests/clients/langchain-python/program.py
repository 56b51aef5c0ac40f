"""LangChain for Python: ChatOpenAI over chat completions and Responses, ChatAnthropic, OpenAIEmbeddings."""

from typing import Any

import anthropic
import openai
from cases import ENDLESS, IMAGE, KEY, THOUGHT, URL, cancelled, expect, fails, flaky, left, run, sent, shown, weather
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

forecast = tool(weather)


class Animal(BaseModel):
    """An animal."""

    striped: bool


def clients(model: str, **more: Any) -> list[Any]:
    """One a surface."""
    more = {"max_retries": 0, "api_key": KEY, "model": model, **more}
    ours = {"base_url": URL, "stream_usage": True}
    return [
        ChatOpenAI(**ours, **more),
        ChatOpenAI(**ours, use_responses_api=True, **more),
        ChatAnthropic(base_url=URL, max_tokens=4096, **more),
    ]


def text(message: Any) -> str:
    return str(message.text)


def chat(model: str) -> None:
    for client in clients(model):
        whole = client.invoke("hello")
        expect(text(whole) and whole.usage_metadata["output_tokens"], whole)


def stream(model: str) -> None:
    for client in clients(model):
        whole = client.invoke("hello")
        pieces = list(client.stream("hello"))
        together = sum(pieces[1:], pieces[0])
        expect(text(together) == text(whole), together)
        expect(together.usage_metadata["output_tokens"] == whole.usage_metadata["output_tokens"], together)


def loop(model: str, count: int) -> None:
    for client in clients(model):
        bound = client.bind_tools([forecast])
        conversation: list[Any] = [HumanMessage(f"[[stub tool={count} chunks=0]]")]
        pieces = list(bound.stream(conversation))
        for asked in (bound.invoke(conversation), sum(pieces[1:], pieces[0])):
            expect(len({call["id"] for call in asked.tool_calls}) == count, asked)
            results = [ToolMessage(forecast.invoke(call["args"]), tool_call_id=call["id"]) for call in asked.tool_calls]
            done = bound.invoke([*conversation, asked, *results])
            expect(text(done) and sent(model).count("sunny in Graz") == count, done)


def tools(model: str) -> None:
    loop(model, 1)


def parallel(model: str) -> None:
    loop(model, 2)


def structured(model: str) -> None:
    for client in clients(model):
        formed = client.with_structured_output(Animal, method="json_schema").invoke("a zebra?")
        expect(formed == Animal(striped=True), formed)


def images(model: str) -> None:
    for client in clients(model):
        content: Any = [
            {"type": "text", "text": "what?"},
            {"type": "image", "base64": IMAGE, "mime_type": "image/png"},
        ]
        client.invoke([HumanMessage(content=content)])
        expect(shown(model), type(client).__name__)


def thinking(model: str) -> None:
    responses = ChatOpenAI(
        base_url=URL,
        api_key=KEY,
        model=model,
        use_responses_api=True,
        max_retries=0,
        reasoning={"effort": "low", "summary": "auto"},
    )
    claude = ChatAnthropic(
        base_url=URL, api_key=KEY, model=model, max_tokens=4096, thinking={"type": "enabled", "budget_tokens": 2048}
    )
    for client in (responses, claude):
        answer = client.invoke("[[stub think=1]]")
        thoughts = [block for block in answer.content_blocks if block["type"] == "reasoning"]
        expect("".join(block.get("reasoning", "") for block in thoughts) == THOUGHT, answer.content)
        expect(text(client.invoke([HumanMessage("hi"), answer, HumanMessage("and?")])), "no answer")


def errors(model: str) -> None:
    classes: list[Any] = [openai, openai, anthropic]
    for client, strange, module in zip(clients(model), clients("no/such"), classes, strict=True):
        fails(lambda client=client: client.invoke("[[stub error=429]]"), module.RateLimitError)
        fails(lambda strange=strange: strange.invoke("hi"), module.BadRequestError)
    for client, module in zip(clients(model, api_key="sk-no"), classes, strict=True):
        fails(lambda client=client: client.invoke("hi"), module.AuthenticationError)


def retries(model: str) -> None:
    for client in clients(model, max_retries=2):
        expect(text(client.invoke(flaky(model))), "no answer")


def cancel(model: str) -> None:
    for client in clients(model):
        before = cancelled()
        pieces = client.stream(ENDLESS)
        while not text(next(pieces)):
            pass
        pieces.close()
        left(before)


def embeddings(model: str) -> None:
    made = OpenAIEmbeddings(base_url=URL, api_key=KEY, model="stub/embed", check_embedding_ctx_length=False)
    expect(len(made.embed_documents(["a", "b"])) == 2, "no vectors")


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
    embeddings=embeddings,
)
