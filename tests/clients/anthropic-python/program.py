"""``anthropic`` for Python: Messages."""

import json
from typing import Any

import anthropic
from anthropic import beta_tool
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

client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=60)
TOOL: Any = {"name": "weather", "description": "of a city", "input_schema": CITY}


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


def ask(model: str, messages: Any, **more: Any) -> Any:
    return client.messages.create(**{"model": model, "max_tokens": 4096, "messages": messages, **more})


def streamed(model: str, messages: Any, **more: Any) -> Any:
    with client.messages.stream(**{"model": model, "max_tokens": 4096, "messages": messages, **more}) as events:
        return events.get_final_message()


def chat(model: str) -> None:
    whole = ask(model, said("hello"), system="Be brief.")
    expect(whole.content[0].text and whole.stop_reason == "end_turn" and whole.usage.output_tokens, whole)
    more = ask(model, [*said("hello"), {"role": "assistant", "content": whole.content}, *said("and then?")])
    expect(more.content[0].text, more)
    expect(client.messages.count_tokens(model=model, messages=said("hello")).input_tokens > 0, "no count")


def stream(model: str) -> None:
    whole, final = ask(model, said("hello")), streamed(model, said("hello"))
    expect(final.content[0].text == whole.content[0].text, final)
    expect(final.usage.output_tokens == whole.usage.output_tokens, final.usage)


def loop(model: str, prompt: str, count: int) -> None:
    for way in (ask, streamed):
        asked = way(model, said(prompt), tools=[TOOL])
        calls = [block for block in asked.content if block.type == "tool_use"]
        expect(asked.stop_reason == "tool_use" and len({call.id for call in calls}) == count, asked)
        results = [{"type": "tool_result", "tool_use_id": c.id, "content": weather(**c.input)} for c in calls]
        history = [*said(prompt), {"role": "assistant", "content": asked.content}, {"role": "user", "content": results}]
        done = way(model, history, tools=[TOOL])
        expect(done.content[0].text and sent(model).count("sunny in Graz") == count, done)


def tools(model: str) -> None:
    loop(model, "[[stub tool=1 chunks=0]]", 1)
    runner = client.beta.messages.tool_runner(
        model=model, max_tokens=500, tools=[beta_tool(weather)], messages=said("[[stub tool=1 chunks=0]]")
    )
    final: Any = runner.until_done()
    expect(final.content[0].text and "sunny in Graz" in sent(model) and "[[stub tool=1" in sent(model), final)


def parallel(model: str) -> None:
    loop(model, "[[stub tool=2 chunks=0]]", 2)


def structured(model: str) -> None:
    form = {"format": {"type": "json_schema", "schema": ANIMAL}}
    expect(json.loads(ask(model, said("a zebra?"), output_config=form).content[0].text) == {"striped": True}, "form")


def images(model: str) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}
    ask(model, [{"role": "user", "content": [image, {"type": "text", "text": "what?"}]}])
    expect(shown(model), "image")


def thinking(model: str) -> None:
    think = {"thinking": {"type": "enabled", "budget_tokens": 2048}}
    for way in (ask, streamed):
        asked = way(model, said("[[stub think=1]]"), **think)
        expect("".join(b.thinking for b in asked.content if b.type == "thinking") == THOUGHT, asked.content)
        more = way(model, [*said("hi"), {"role": "assistant", "content": asked.content}, *said("and?")], **think)
        expect(any(block.type == "text" for block in more.content), more)


def errors(model: str) -> None:
    fails(lambda: ask("no/such", said("hi")), anthropic.BadRequestError)
    fails(lambda: ask(model, said("[[stub error=429]]")), anthropic.RateLimitError)
    nobody = anthropic.Anthropic(base_url=URL, api_key="sk-no", max_retries=0)
    fails(lambda: nobody.messages.create(model=model, max_tokens=9, messages=said("hi")), anthropic.AuthenticationError)
    if not model.startswith("mock/"):
        fails(lambda: streamed(model, said("[[stub chunks=5 fail_after=2]]")), anthropic.APIError)


def retries(model: str) -> None:
    patient = client.with_options(max_retries=2)
    expect(patient.messages.create(model=model, max_tokens=99, messages=said(flaky(model))).content, "no answer")


def cancel(model: str) -> None:
    before = cancelled()
    with client.messages.stream(model=model, max_tokens=4096, messages=said(ENDLESS)) as events:
        next(iter(events.text_stream))
    left(before)


def models(model: str) -> None:
    expect(client.models.list().data, "no models")


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
    models=models,
)
