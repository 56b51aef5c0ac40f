"""``llm``: models of its ``extra-openai-models.yaml``."""

import base64
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from cases import ANIMAL, IMAGE, KEY, MODELS, URL, expect, fails, run, sent, shown, weather

folder = Path(tempfile.mkdtemp())
os.environ["LLM_USER_PATH"] = str(folder)
entries = [
    {
        "model_id": f"sluice/{model}",
        "model_name": model,
        "api_base": URL,
        "api_key_name": "sluice",
        "supports_tools": True,
        "supports_schema": True,
        "vision": True,
    }
    for model in [*MODELS, "no/such"]
]
(folder / "extra-openai-models.yaml").write_text(json.dumps(entries))
(folder / "keys.json").write_text(json.dumps({"sluice": KEY}))
import llm  # noqa: E402
import openai  # noqa: E402


def of(model: str) -> Any:
    return llm.get_model(f"sluice/{model}")


def chat(model: str) -> None:
    conversation = of(model).conversation()
    expect(conversation.prompt("hello", stream=False).text(), "no answer")
    expect(conversation.prompt("and then?", stream=False).text(), "no answer")


def stream(model: str) -> None:
    text = "".join(of(model).prompt("hello", stream=True))
    expect(text and text == of(model).prompt("hello", stream=False).text(), text)


def tools(model: str) -> None:
    for streamed in (False, True):
        text = of(model).chain("[[stub tool=1 chunks=0]]", tools=[weather], stream=streamed).text()
        expect(text and sent(model).count("sunny in Graz") == 1, text)


def parallel(model: str) -> None:
    text = of(model).chain("[[stub tool=2 chunks=0]]", tools=[weather]).text()
    expect(text and sent(model).count("sunny in Graz") == 2, text)


def structured(model: str) -> None:
    text = of(model).prompt("a zebra?", schema=ANIMAL, stream=False).text()
    expect(json.loads(text) == {"striped": True}, text)


def images(model: str) -> None:
    of(model).prompt("what?", attachments=[llm.Attachment(content=base64.b64decode(IMAGE))], stream=False).text()
    expect(shown(model), "image")


def errors(model: str) -> None:
    fails(lambda: of("no/such").prompt("hi", stream=False).text(), openai.BadRequestError, llm.ModelError)
    fails(lambda: of(model).prompt("hi", stream=False, key="sk-no").text(), openai.AuthenticationError, llm.ModelError)


run(chat=chat, stream=stream, tools=tools, parallel=parallel, structured=structured, images=images, errors=errors)
