"""``openai`` for Python: chat completions, Responses and embeddings."""

import json
from typing import Any

import openai
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

client = openai.OpenAI(base_url=URL, api_key=KEY, max_retries=0, timeout=60)
TOOL: Any = {"type": "function", "function": {"name": "weather", "description": "of a city", "parameters": CITY}}
FLAT: Any = {"type": "function", "strict": False, **TOOL["function"]}
PICTURE = f"data:image/png;base64,{IMAGE}"


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


def chat(model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=said("hello"))
    expect(whole.choices[0].message.content and whole.choices[0].finish_reason == "stop" and whole.usage, whole)
    expect(whole.model == model, whole.model)
    response = client.responses.create(model=model, input="hello", instructions="Be brief.")
    expect(response.output_text == whole.choices[0].message.content and response.usage, response.output_text)
    more = client.responses.create(model=model, input=[*said("hello"), *response.output, *said("and then?")])
    expect(more.output_text, more)


def stream(model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=said("hello"))
    chunks = list(client.chat.completions.create(model=model, messages=said("hello"), stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    expect(text == whole.choices[0].message.content, text)
    counted: Any = {"stream": True, "stream_options": {"include_usage": True}}
    last = list(client.chat.completions.create(model=model, messages=said("hello"), **counted))[-1]
    expect(last.usage and last.usage.completion_tokens == whole.usage.completion_tokens, last)
    with client.responses.stream(model=model, input="hello") as events:
        kinds = [event.type for event in events]
        final = events.get_final_response()
    expect(final.output_text == text and kinds[-1] == "response.completed", kinds)


def loop(model: str, prompt: str, count: int, *, streamed: bool) -> None:
    messages = said(prompt)
    with client.chat.completions.stream(model=model, messages=messages, tools=[TOOL]) as events:
        completion: Any = events.get_final_completion()
    if not streamed:
        completion = client.chat.completions.create(model=model, messages=messages, tools=[TOOL])
    message = completion.choices[0].message
    expect(completion.choices[0].finish_reason == "tool_calls" and len(message.tool_calls) == count, completion)
    expect(len({call.id for call in message.tool_calls}) == count, message)
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": weather(**json.loads(call.function.arguments))}
        for call in message.tool_calls
    ]
    again = {
        "role": "assistant",
        "content": message.content,
        "tool_calls": [c.model_dump() for c in message.tool_calls],
    }
    done = client.chat.completions.create(model=model, messages=[*messages, again, *results], tools=[TOOL])
    expect(done.choices[0].message.content and sent(model).count("sunny in Graz") == count, done)


def respond(model: str, prompt: str, count: int, *, streamed: bool) -> None:
    ask: Any = {"model": model, "tools": [FLAT], "input": said(prompt)}
    if streamed:
        response: Any = list(client.responses.create(**ask, stream=True))[-1].response
    else:
        response = client.responses.create(**ask)
    calls = [item for item in response.output if item.type == "function_call"]
    expect(len(calls) == count and len({call.call_id for call in calls}) == count, response.output)
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": weather(**json.loads(call.arguments))}
        for call in calls
    ]
    done = client.responses.create(**{**ask, "input": [*ask["input"], *response.output, *results]})
    expect(done.output_text and sent(model).count("sunny in Graz") == count, done.output)


def tools(model: str) -> None:
    for streamed in (False, True):
        loop(model, "[[stub tool=1 chunks=0]]", 1, streamed=streamed)
        respond(model, "[[stub tool=1 chunks=0]]", 1, streamed=streamed)


def parallel(model: str) -> None:
    for streamed in (False, True):
        loop(model, "[[stub tool=2 chunks=0]]", 2, streamed=streamed)
        respond(model, "[[stub tool=2 chunks=0]]", 2, streamed=streamed)


def structured(model: str) -> None:
    schema = {"name": "animal", "schema": ANIMAL, "strict": True}
    form: Any = {"type": "json_schema", "json_schema": schema}
    whole = client.chat.completions.create(model=model, messages=said("a zebra?"), response_format=form)
    expect(json.loads(whole.choices[0].message.content or "") == {"striped": True}, whole)
    text: Any = {"format": {"type": "json_schema", **schema}}
    response = client.responses.create(model=model, input="a zebra?", text=text)
    expect(json.loads(response.output_text) == {"striped": True}, response.output_text)


def images(model: str) -> None:
    content: Any = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])
    expect(shown(model), "chat")
    content = [{"type": "input_text", "text": "what?"}, {"type": "input_image", "image_url": PICTURE, "detail": "auto"}]
    client.responses.create(model=model, input=[{"role": "user", "content": content}])
    expect(shown(model), "responses")


def thinking(model: str) -> None:
    for streamed in (False, True):
        ask: Any = {"model": model, "input": "[[stub think=1]]", "reasoning": {"effort": "low", "summary": "auto"}}
        if streamed:
            response: Any = list(client.responses.create(**ask, stream=True))[-1].response
        else:
            response = client.responses.create(**ask)
        thoughts = [part.text for item in response.output if item.type == "reasoning" for part in item.summary]
        expect("".join(thoughts) == THOUGHT, response.output)
        more = client.responses.create(**{**ask, "input": [*said("hi"), *response.output, *said("and?")]})
        expect(more.output_text, more.output)


def errors(model: str) -> None:
    def ask(text: str, name: str = model, who: openai.OpenAI = client) -> Any:
        return who.chat.completions.create(model=name, messages=said(text))

    fails(lambda: ask("hi", "no/such"), openai.BadRequestError)
    fails(lambda: ask("[[stub error=429]]"), openai.RateLimitError)
    fails(
        lambda: ask("hi", who=openai.OpenAI(base_url=URL, api_key="sk-no", max_retries=0)), openai.AuthenticationError
    )
    fails(lambda: client.responses.create(model="no/such", input="hi"), openai.BadRequestError)
    if not model.startswith("mock/"):
        cut: Any = {"model": model, "messages": said("[[stub chunks=5 fail_after=2]]"), "stream": True}
        fails(lambda: list(client.chat.completions.create(**cut)), openai.APIError)
        fails(
            lambda: list(client.responses.create(model=model, input="[[stub fail_after=2]]", stream=True)),
            openai.APIError,
        )


def retries(model: str) -> None:
    patient = client.with_options(max_retries=2)
    expect(patient.chat.completions.create(model=model, messages=said(flaky(model))).choices, "no answer")


def cancel(model: str) -> None:
    before = cancelled()
    chunks = client.chat.completions.create(model=model, messages=said(ENDLESS), stream=True)
    next(iter(chunks))
    chunks.close()
    left(before)
    before = cancelled()
    events = client.responses.create(model=model, input=ENDLESS, stream=True)
    next(event for event in events if event.type == "response.output_text.delta")
    events.close()
    left(before)


def embeddings(model: str) -> None:
    for form in ("float", "base64"):
        made = client.embeddings.create(model="stub/embed", input=["a", "b"], encoding_format=form)
        expect(len(made.data) == 2 and made.data[0].embedding, made)
    made = client.embeddings.create(model="gemini/embed", input=["a", "b"])
    expect(len(made.data) == 2 and made.data[0].embedding and made.usage, made)


def models(model: str) -> None:
    expect(any(one.id == model for one in client.models.list()), "not in the list")


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
    models=models,
)
