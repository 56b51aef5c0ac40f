"""How to send a first request, tool by tool. The key stands for itself: it is shown once, elsewhere. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snippet:
    """What to copy."""

    id: str
    name: str
    text: str
    note: str = ""


def snippets(base_url: str, model: str, organization: str | None = None) -> list[Snippet]:
    """For a gateway and a model.

    Args:
        organization: that requests are for; None: for who has the key.
    """
    root = base_url.removesuffix("/v1")
    values = {"URL": root, "MODEL": model} | ({"ORGANIZATION": organization} if organization else {})
    return [Snippet(id_, name, _filled(text, values), note) for id_, name, text, note in _TEXTS]


def model_of(used: Iterable[str], offered: Collection[str]) -> str:
    """The first of the models used that the catalog has, or any of these.

    Anything else is what a client wrote, and these texts are pasted into shells.
    """
    known = (model for model in used if model in offered)
    return next(known, min(offered, default="provider/model"))


def _filled(text: str, values: dict[str, str]) -> str:
    """The text without the lines that are for organizations alone, where it is for none."""
    wanted = (line for line in text.splitlines() if "ORGANIZATION" in values or not line.startswith("@"))
    text = "\n".join(line.removeprefix("@") for line in wanted)
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text.strip("\n")


_TEXTS = (
    # Lines that begin with @ are there where requests are for an organization.
    (
        "curl",
        "curl",
        """
curl -N {URL}/chat/completions \\
  -H "Authorization: Bearer $SLUICE_API_KEY" \\
  -H "Content-Type: application/json" \\
@  -H "X-KiloCode-OrganizationId: {ORGANIZATION}" \\
  -d '{"model": "{MODEL}", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'
""",
        "",
    ),
    (
        "python",
        "OpenAI, Python",
        """
import os
from openai import OpenAI

client = OpenAI(
    base_url="{URL}",
    api_key=os.environ["SLUICE_API_KEY"],
@    default_headers={"X-KiloCode-OrganizationId": "{ORGANIZATION}"},
)
answer = client.chat.completions.create(
    model="{MODEL}", messages=[{"role": "user", "content": "Hello"}]
)
print(answer.choices[0].message.content)
""",
        "",
    ),
    (
        "typescript",
        "OpenAI, TypeScript",
        """
import OpenAI from "openai"

const client = new OpenAI({
  baseURL: "{URL}",
  apiKey: process.env.SLUICE_API_KEY,
@  defaultHeaders: { "X-KiloCode-OrganizationId": "{ORGANIZATION}" },
})
const answer = await client.chat.completions.create({
  model: "{MODEL}",
  messages: [{ role: "user", content: "Hello" }],
})
console.log(answer.choices[0].message.content)
""",
        "",
    ),
    (
        "ai-sdk",
        "AI SDK",
        """
import { createOpenAI } from "@ai-sdk/openai"
import { generateText } from "ai"

const sluice = createOpenAI({
  baseURL: "{URL}",
  apiKey: process.env.SLUICE_API_KEY,
@  headers: { "X-KiloCode-OrganizationId": "{ORGANIZATION}" },
})
const { text } = await generateText({ model: sluice("{MODEL}"), prompt: "Hello" })
console.log(text)
""",
        "",
    ),
    (
        "anthropic",
        "Anthropic, Python",
        """
import os
import anthropic

client = anthropic.Anthropic(
    base_url="{URL}",
    api_key=os.environ["SLUICE_API_KEY"],
@    default_headers={"X-KiloCode-OrganizationId": "{ORGANIZATION}"},
)
message = client.messages.create(
    model="{MODEL}", max_tokens=1024, messages=[{"role": "user", "content": "Hello"}]
)
print(message.content[0].text)
""",
        "",
    ),
    (
        "kilo-code",
        "Kilo Code",
        """
API Provider   OpenAI Compatible
Base URL       {URL}
API Key        your Sluice key
Model          {MODEL}
@Headers        X-KiloCode-OrganizationId: {ORGANIZATION}
""",
        "In the extension's settings, under Providers.",
    ),
    (
        "claude-code",
        "Claude Code",
        """
export ANTHROPIC_BASE_URL={URL}
export ANTHROPIC_AUTH_TOKEN=$SLUICE_API_KEY
export ANTHROPIC_MODEL={MODEL}
@export ANTHROPIC_CUSTOM_HEADERS="X-KiloCode-OrganizationId: {ORGANIZATION}"
claude
""",
        "",
    ),
    (
        "codex",
        "Codex",
        """
model = "{MODEL}"
model_provider = "sluice"

[model_providers.sluice]
name = "Sluice"
base_url = "{URL}"
env_key = "SLUICE_API_KEY"
wire_api = "responses"
@http_headers = { "X-KiloCode-OrganizationId" = "{ORGANIZATION}" }
""",
        "In ~/.codex/config.toml.",
    ),
    (
        "aider",
        "aider",
        """
export OPENAI_API_BASE={URL}
export OPENAI_API_KEY=$SLUICE_API_KEY
@cat >.aider.model.settings.yml <<'END'
@- name: openai/{MODEL}
@  extra_params: {extra_headers: {X-KiloCode-OrganizationId: {ORGANIZATION}}}
@END
aider --model openai/{MODEL}
""",
        "",
    ),
    (
        "cline",
        "Cline",
        """
API Provider   OpenAI Compatible
Base URL       {URL}
API Key        your Sluice key
Model ID       {MODEL}
@Headers        X-KiloCode-OrganizationId: {ORGANIZATION}
""",
        "In the extension's settings.",
    ),
)
