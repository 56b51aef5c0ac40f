"""The snippets of the console's home page, run as they stand there."""

import html
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from tests.clients.environments import NODE, installed, run
from tests.stacks import Gateway, chat, until

WITHIN_S = 120
SETTINGS = frozenset({"kilo-code", "cline"})
"""Of extensions, which nothing runs but an editor."""
_SHOWN = re.compile(r'<div class="snippet" id="snippet-([\w-]+)".*?<pre[^>]*>(.*?)</pre>', re.DOTALL)
Runner = Callable[[str, Path], Awaitable[list[str]]]
"""Makes the command that runs a snippet, in a home folder of its own."""


async def shown(gateway: Gateway, model: str, organization: str | None = None) -> dict[str, str]:
    """By the tool's name, for a model: the page's snippets are for that of the newest request."""
    headers = {"X-KiloCode-OrganizationId": organization} if organization else {}
    asked = await gateway.post(chat("hello", model=model), **headers)
    await gateway.entry(asked.headers["x-request-id"])
    link = await gateway.manage("POST", "/api/sign-in-links", {"account": gateway.account_id})
    async with httpx.AsyncClient(base_url=gateway.stack.console_url, trust_env=False, follow_redirects=True) as http:
        code = link["path"].partition("code=")[2]
        page = (await http.post("/sign-in", data={"code": code, "next": f"/{organization or 'me'}/home"})).text
    return {name: html.unescape(text) for name, text in _SHOWN.findall(page)}


async def _curl(text: str, _home: Path) -> list[str]:
    return ["bash", "-ec", text]


async def _python(text: str, _home: Path) -> list[str]:
    return [sys.executable, "-c", text]


def _node(client: str) -> Runner:
    async def command(text: str, _home: Path) -> list[str]:
        program = await installed(client) / "snippet.mjs"
        program.write_text(text)
        return [str(NODE), str(program)]

    return command


async def _claude_code(text: str, _home: Path) -> list[str]:
    programs = next((await installed("claude-code") / "node_modules/@anthropic-ai").glob("claude-code-*/claude")).parent
    settings = "export IS_SANDBOX=1 CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1"
    return ["bash", "-ec", f"{settings}\nPATH={programs}:$PATH\n{text} -p hello"]


async def _codex(text: str, home: Path) -> list[str]:
    (home / ".codex").mkdir()
    (home / ".codex/config.toml").write_text(text)
    program = await installed("codex") / "node_modules/@openai/codex/bin/codex.js"
    return [str(NODE), str(program), "exec", "--skip-git-repo-check", "--", "hello"]


async def _aider(text: str, _home: Path) -> list[str]:
    folder = await installed("aider") / "bin"
    quiet = "--no-git --yes-always --no-check-update --no-analytics --no-show-model-warnings --no-pretty --map-tokens 0"
    return ["bash", "-ec", f"export LITELLM_LOCAL_MODEL_COST_MAP=True PATH={folder}:$PATH\n{text} {quiet} -m hello"]


RUNNERS: dict[str, Runner] = {
    "curl": _curl,
    "python": _python,
    "anthropic": _python,
    "typescript": _node("openai-node"),
    "ai-sdk": _node("ai-sdk"),
    "claude-code": _claude_code,
    "codex": _codex,
    "aider": _aider,
}
ON_DEMAND = ("claude-code", "codex", "aider")
"""They are large, and take their time."""


async def output_of(name: str, text: str, gateway: Gateway, home: Path) -> str:
    """What a snippet prints, run with the account's key. Raises AssertionError where it fails."""
    command = await RUNNERS[name](text, home)
    environment = {"SLUICE_API_KEY": gateway.key, "HOME": str(home)}
    code, out, err = await run(*command, folder=home, environment=environment, within_s=WITHIN_S)
    assert code == 0, (out + err)[-3000:]
    return out


async def organization_of(gateway: Gateway) -> str:
    """A new one of the account whose key snippets run with; its requests are let in."""
    made = await gateway.manage("POST", "/api/organizations", {"name": "Snippets", "owner": gateway.account_id})
    organization = str(made["id"])

    async def known() -> bool | None:
        answer = await gateway.post({}, **{"X-KiloCode-OrganizationId": organization})
        return answer.status_code == 400 or None

    await until(known, what="the organization at the door")
    return organization


async def charged(gateway: Gateway, organization: str, requests: int) -> None:
    """Waits until so many requests, or more, are in its ledger. Raises TimeoutError."""

    async def entered() -> bool | None:
        rows = await gateway.manage("GET", f"/api/organizations/{organization}/requests?outcome=completed")
        return len(rows) >= requests or None

    await until(entered, what=f"{requests} requests of the organization")
