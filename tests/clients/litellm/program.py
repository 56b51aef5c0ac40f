"""``litellm`` as a client: its providers ``openai``, ``openai/responses`` and ``anthropic``."""

import json
import os
from typing import Any

from cases import (
    ANIMAL,
    CITY,
    ENDLESS,
    IMAGE,
    KEY,
    THOUGHT,
    URL,
    cancelled,
    expect,
    fails,
    flaky,
    left,
    run,
    sent,
    shown,
    weather,
)

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

litellm.telemetry = False
TOOL = {"type": "function", "function": {"name": "weather", "description": "of a city", "parameters": CITY}}
ROUTES = ("openai", "openai/responses", "anthropic")


def ask(route: str, model: str, content: Any, *, key: str = KEY, before: Any = (), **more: Any) -> Any:
    """One answer; LiteLLM adds the path, and for Anthropic `/v1/messages`."""
    messages = [*before, {"role": "user", "content": content}] if content else list(before)
    most = {"max_tokens": 4096} if route == "anthropic" else {}
    more = {"num_retries": 0, "max_retries": 0, **most, **more}
    return litellm.completion(model=f"{route}/{model}", messages=messages, api_base=URL, api_key=key, **more)


def chat(model: str) -> None:
    for route in ROUTES:
        whole = ask(route, model, "hello")
        expect(whole.choices[0].message.content and whole.usage.completion_tokens, whole)


def stream(model: str) -> None:
    for route in ROUTES:
        chunks = list(ask(route, model, "hello", stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        expect(text and text == ask(route, model, "hello").choices[0].message.content, text)


def loop(model: str, count: int) -> None:
    for route in ROUTES:
        prompt = f"[[stub tool={count} chunks=0]]"
        pieces = list(ask(route, model, prompt, tools=[TOOL], stream=True))
        for answer in (ask(route, model, prompt, tools=[TOOL]), litellm.stream_chunk_builder(pieces)):
            message = answer.choices[0].message
            expect(len(message.tool_calls or ()) == count, f"{route} {message}")
            results = [
                {"role": "tool", "tool_call_id": call.id, "content": weather(**json.loads(call.function.arguments))}
                for call in message.tool_calls
            ]
            said = {"role": "user", "content": prompt}
            done = ask(route, model, "", before=[said, message.model_dump(), *results], tools=[TOOL])
            expect(done.choices[0].message.content and sent(model).count("sunny in Graz") == count, route)


def tools(model: str) -> None:
    loop(model, 1)


def parallel(model: str) -> None:
    loop(model, 2)


def structured(model: str) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "animal", "schema": ANIMAL, "strict": True}}
    for route in ROUTES:
        whole = ask(route, model, "a zebra?", response_format=form)
        expect(json.loads(whole.choices[0].message.content) == {"striped": True}, f"{route} {whole}")


def images(model: str) -> None:
    content = [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}},
    ]
    for route in ROUTES:
        ask(route, model, content)
        expect(shown(model), route)


def thinking(model: str) -> None:
    for route in ROUTES:
        more: Any = {"reasoning_effort": "low", "allowed_openai_params": ["reasoning_effort"]}
        if route == "anthropic":
            more = {"thinking": {"type": "enabled", "budget_tokens": 2048}, "allowed_openai_params": ["thinking"]}
        message = ask(route, model, "[[stub think=1]]", **more).choices[0].message
        expect(message.reasoning_content == THOUGHT, f"{route} {message}")


def errors(model: str) -> None:
    for route in ROUTES:
        fails(lambda route=route: ask(route, model, "[[stub error=429]]"), litellm.RateLimitError)
        fails(lambda route=route: ask(route, "no/such", "hi"), litellm.BadRequestError)
        fails(lambda route=route: ask(route, model, "hi", key="sk-no"), litellm.AuthenticationError)


def retries(model: str) -> None:
    for route in ROUTES:
        expect(ask(route, model, flaky(model), num_retries=2).choices, route)


def cancel(model: str) -> None:
    before = cancelled()
    pieces = ask("openai", model, ENDLESS, stream=True)
    next(pieces)
    pieces.completion_stream.close()
    left(before)


def embeddings(model: str) -> None:
    made = litellm.embedding(model="openai/stub/embed", input=["a", "b"], api_base=URL, api_key=KEY)
    expect(len(made.data) == 2, made)


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
