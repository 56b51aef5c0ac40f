"""``aider`` for one message, over chat completions and Messages."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cases import KEY, URL, expect, run

QUIET = "--no-git --yes-always --no-check-update --no-analytics --no-show-model-warnings --no-pretty --map-tokens 0"


def ask(model: str, message: str, *more: str, key: str = KEY) -> tuple[int, str]:
    """Its exit status, and what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "OPENAI_API_BASE": URL,
            "OPENAI_API_KEY": key,
            "ANTHROPIC_API_BASE": URL,
            "ANTHROPIC_API_KEY": key,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        aider = str(Path(sys.executable).with_name("aider"))
        done = subprocess.run(
            [aider, "--model", model, "--message", message, *QUIET.split(), *more],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        lines = (done.stdout + done.stderr).splitlines()
        # It looks for prices on the network, which is not there.
        return done.returncode, "\n".join(line for line in lines if "Name or service not known" not in line)


def chat(model: str) -> None:
    for route in ("openai", "anthropic"):
        _, text = ask(f"{route}/{model}", "hello", "--no-stream")
        expect("token" in text.lower() and "rror" not in text, text[-300:])


def stream(model: str) -> None:
    for route in ("openai", "anthropic"):
        _, text = ask(f"{route}/{model}", "hello", "--stream")
        expect("rror" not in text and "Tokens:" in text, text[-300:])


def errors(model: str) -> None:
    _, text = ask(f"openai/{model}", "hello", key="sk-no")
    expect("AuthenticationError" in text, text[-300:])


run(chat=chat, stream=stream, errors=errors)
