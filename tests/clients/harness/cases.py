"""What every Python client's program is run by. The standard library alone: it works in any client's environment."""

import asyncio
import inspect
import json
import os
import sys
import time
import traceback
import urllib.request
from collections.abc import Awaitable, Callable

URL, KEY = os.environ["SLUICE_URL"], os.environ["SLUICE_KEY"]
MODELS = os.environ["SLUICE_MODELS"].split()
STUB, MOCK = os.environ["SLUICE_STUB"], os.environ.get("SLUICE_MOCK", "")
IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAGElEQVR4nGNkYPjPgA0wYRUdVhKMjIyMAAmpAQ9/T3TpAAAAAElFTkSuQmCC"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ANIMAL = {
    "type": "object",
    "properties": {"striped": {"type": "boolean"}},
    "required": ["striped"],
    "additionalProperties": False,
}
THOUGHT = "Let me see."
ENDLESS = "[[stub chunks=500 gap_ms=20]]"
Case = Callable[[str], "Awaitable[None] | None"]


class Absent(Exception):
    """The client has no such feature, or not with this model."""


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def flaky(model: str) -> str:
    """A prompt that fails the first time that the provider sees it."""
    return f"[[stub flaky={os.getpid()}-{time.monotonic_ns()}]] {model}"


def sent(model: str) -> str:
    """The body that the provider received last."""
    if model.startswith("mock/"):
        return json.dumps(_got(f"{MOCK}/__aimock/journal")[-1]["body"])
    return json.dumps(_got(f"{STUB}/stub/last"))


def shown(model: str) -> bool:
    """The provider received the image. Of what others than chat completions brought it, the mock keeps texts alone."""
    return (model.startswith("mock/") and model != "mock/chat") or IMAGE in sent(model)


def left(before: int) -> None:
    """Waits until the provider has noticed that the client went away."""
    end = time.monotonic() + 15
    while cancelled() == before:
        if time.monotonic() > end:
            raise AssertionError("the provider went on")
        time.sleep(0.02)


def cancelled() -> int:
    """How many streams the provider saw cut."""
    count: int = _got(f"{STUB}/stub/stats").get("cancelled", 0)
    return count


def expect(holds: object, what: object) -> None:
    """An assertion with its reason."""
    if not holds:
        raise AssertionError(str(what)[:300])


def fails(call: Callable[[], object], *classes: type[BaseException]) -> None:
    """The call raises one of the classes."""
    try:
        call()
    except classes:
        return
    except Exception as error:
        raise AssertionError(
            f"{type(error).__module__}.{type(error).__name__} instead of {classes[0].__name__}"
        ) from error
    raise AssertionError("no error")


def run(**cases: Case) -> None:
    """Runs each case with each model, and prints a line for each."""
    for name, case in cases.items():
        for model in MODELS:
            if name == "cancel" and model.startswith("mock/"):
                continue
            found: dict[str, object] = {"case": name, "model": model}
            try:
                result = case(model)
                if inspect.isawaitable(result):
                    asyncio.run(_awaited(result))
                found["ok"] = True
            except Absent as reason:
                found["absent"] = str(reason)
            except Exception as error:
                found["why"] = f"{type(error).__name__}: {error}"[:400]
                if os.environ.get("SLUICE_TRACE"):
                    traceback.print_exc()
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()


async def _awaited(result: Awaitable[None]) -> None:
    await result


def _got(url: str) -> "Any":  # noqa: F821
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)
