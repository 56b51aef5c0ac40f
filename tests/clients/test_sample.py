"""A sample of the client matrix that runs every time: the clients that most people have, on the stack that tests share.

The others, aimock as a provider, and docs/clients.md: ``test_clients.py``. Environments are kept between runs.
"""

from pathlib import Path

import pytest

from tests.clients import snippets
from tests.clients.clients import CLIENTS, Client
from tests.clients.programs import output_of
from tests.clients.results import collected, failures
from tests.stacks import Gateway

PROTOCOLS = ("stub/echo", "claude/echo", "gemini/echo", "converse/echo", "responses/echo")
"""A model at a provider of each protocol."""
SAMPLE: dict[str, tuple[str, ...]] = {
    "openai-python": ("stub/echo",),
    "anthropic-python": ("claude/echo",),
    "openai-node": ("stub/echo",),
    "anthropic-node": ("stub/echo",),
    # As the documentation of the gateway has it: its turns hang together by references, whatever the provider speaks.
    "ai-sdk-responses": PROTOCOLS,
    "ai-sdk-chat": ("gemini/echo",),
    "ai-sdk-messages": ("converse/echo",),
}


@pytest.mark.parametrize("client", [one for one in CLIENTS if one.name in SAMPLE], ids=lambda client: client.name)
async def test_a_client(gateway: Gateway, client: Client, tmp_path: Path) -> None:
    cells = collected(await output_of(client, SAMPLE[client.name], gateway, "", tmp_path))
    assert cells, "the program said nothing"
    assert not failures(cells), "\n".join(failures(cells))


@pytest.mark.parametrize("name", [name for name in snippets.RUNNERS if name not in snippets.ON_DEMAND])
async def test_a_snippet_of_the_console_runs_as_it_is_shown(gateway: Gateway, name: str, tmp_path: Path) -> None:
    shown = await snippets.shown(gateway, "stub/echo")
    assert shown.keys() == snippets.RUNNERS.keys() | snippets.SETTINGS
    assert "gateway" in await snippets.output_of(name, shown[name], gateway, tmp_path)


@pytest.mark.parametrize("name", [name for name in snippets.RUNNERS if name not in snippets.ON_DEMAND])
async def test_in_an_organization_s_space_its_requests_are_the_organization_s(
    gateway: Gateway, name: str, tmp_path: Path
) -> None:
    organization = await snippets.organization_of(gateway)
    shown = await snippets.shown(gateway, "stub/echo", organization)
    assert "gateway" in await snippets.output_of(name, shown[name], gateway, tmp_path)
    await snippets.charged(gateway, organization, 2)
