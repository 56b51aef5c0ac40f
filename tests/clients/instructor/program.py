"""``instructor``: structured output over OpenAI's and Anthropic's SDKs, in the modes that it offers."""

from typing import Any

import anthropic
import instructor
import openai
from cases import IMAGE, KEY, URL, expect, fails, flaky, run, shown
from instructor.core import InstructorRetryException
from pydantic import BaseModel


class Animal(BaseModel):
    """An animal."""

    striped: bool


def clients(key: str = KEY, retries: int = 0) -> list[Any]:
    """One a mode."""
    openai_ = openai.OpenAI(base_url=URL, api_key=key, max_retries=retries)
    claude = anthropic.Anthropic(base_url=URL, api_key=key, max_retries=retries)
    modes = (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA, instructor.Mode.RESPONSES_TOOLS)
    return [
        *(instructor.from_openai(openai_, mode=mode) for mode in modes),
        instructor.from_anthropic(claude, mode=instructor.Mode.ANTHROPIC_TOOLS),
    ]


def ask(client: Any, model: str, content: Any, **more: Any) -> Any:
    most = {"max_tokens": 500} if isinstance(client.client, anthropic.Anthropic) else {}
    messages = [{"role": "user", "content": content}]
    return client.create(model=model, messages=messages, response_model=Animal, max_retries=1, **most, **more)


def structured(model: str) -> None:
    for client in clients():
        expect(ask(client, model, "a zebra?").striped is True, client.mode)


def stream(model: str) -> None:
    for client in clients()[:2]:
        messages = [{"role": "user", "content": "a zebra?"}]
        last = list(client.create_partial(model=model, messages=messages, response_model=Animal))[-1]
        expect(last.striped is True, client.mode)


def images(model: str) -> None:
    shown_ = instructor.Image.from_raw_base64(IMAGE)
    for client in clients()[:2]:
        ask(client, model, ["a zebra?", shown_])
        expect(shown(model), client.mode)


def errors(model: str) -> None:
    for client in clients("sk-no"):
        fails(
            lambda client=client: ask(client, model, "hi"),
            InstructorRetryException,
            openai.AuthenticationError,
            anthropic.AuthenticationError,
        )


def retries(model: str) -> None:
    for client in clients(retries=2):
        expect(ask(client, model, flaky(model) + " zebra").striped is True, client.mode)


run(structured=structured, stream=stream, images=images, errors=errors, retries=retries)
