"""Which clients are run, and with which models."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from tests.clients.environments import FOLDER, HARNESS

ONE_EACH = ("stub/echo", "claude/echo")
"""The stub, in our own protocol and in another."""


@dataclass(frozen=True, slots=True)
class Client:
    """One row of docs/clients.md."""

    folder: str
    packages: tuple[str, ...]
    """Shown with their versions; the first one names the row."""
    note: str = ""
    flavour: str = ""
    models: tuple[str, ...] = (*ONE_EACH, "mock/chat", "mock/gemini")

    @property
    def name(self) -> str:
        """Of its tests, and of its results."""
        return self.folder + (f"-{self.flavour}" if self.flavour else "")

    @property
    def lock(self) -> Path:
        """Its pins."""
        npm = FOLDER / self.folder / "package-lock.json"
        return npm if npm.exists() else FOLDER / self.folder / "requirements.lock"

    @property
    def program(self) -> Path:
        """What is run."""
        return next((FOLDER / self.folder).glob("program.*"))

    @property
    def digest(self) -> str:
        """Of what its results depend on beside the gateway."""
        parts = (self.lock, self.program, *sorted(HARNESS.glob(f"*{self.program.suffix}")))
        return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:12]

    def versions(self) -> dict[str, str]:
        """Of its packages, as they are pinned."""
        text = self.lock.read_text()
        if self.lock.suffix == ".json":
            installed = json.loads(text)["packages"]
            return {name: installed[f"node_modules/{name}"]["version"] for name in self.packages}
        pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE))
        return {name: pinned[name] for name in self.packages}


AI = "ai"
CLIENTS = (
    Client("openai-python", ("openai",), "Python"),
    Client("openai-node", ("openai",), "Node"),
    Client("anthropic-python", ("anthropic",), "Python"),
    Client("anthropic-node", ("@anthropic-ai/sdk",), "Node"),
    Client("ai-sdk", (AI, "@ai-sdk/openai"), "as it comes: Responses", "responses"),
    Client("ai-sdk", (AI, "@ai-sdk/openai"), "`.chat`", "chat"),
    Client("ai-sdk", (AI, "@ai-sdk/openai-compatible"), "", "compatible"),
    Client("ai-sdk", (AI, "@ai-sdk/anthropic"), "", "messages"),
    Client("ai-sdk", (AI, "@openrouter/ai-sdk-provider"), '`compatibility: "strict"`', "openrouter"),
    Client("langchain-python", ("langchain-openai", "langchain-anthropic"), "Python"),
    Client("langchain-js", ("@langchain/openai", "@langchain/anthropic"), "Node"),
    Client("llamaindex", ("llama-index-llms-openai-like", "llama-index-embeddings-openai")),
    Client("instructor", ("instructor",)),
    Client("pydantic-ai", ("pydantic-ai-slim",)),
    Client("openai-agents", ("openai-agents",)),
    Client("litellm", ("litellm",), "as a client"),
    Client("llm", ("llm",)),
    Client("aider", ("aider-chat",), models=(*ONE_EACH, "mock/chat")),
    Client("claude-code", ("@anthropic-ai/claude-code",)),
    Client("codex", ("@openai/codex",)),
)
