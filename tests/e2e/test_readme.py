"""What the README shows is true: its Python runs, and its commands and files exist."""

import asyncio
import os
import re
import sys

import yaml

from deploy.local.home import ROOT
from tests.stacks import Gateway

README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


async def test_the_python_snippets_run(gateway: Gateway) -> None:
    snippets = _blocks("python")
    assert snippets
    for snippet in snippets:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            snippet,
            env=os.environ | {"SLUICE_BASE_URL": gateway.base_url, "SLUICE_API_KEY": gateway.key},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        assert len(out.decode().split()) == 8


async def test_the_commands_exist() -> None:
    commands = {tuple(found.split()) for found in re.findall(r"\./sluice ((?:[a-z]+ ?){1,2})", README)}
    assert {("demo",), ("account", "create")} <= commands
    for command in commands:
        process = await asyncio.create_subprocess_exec(
            str(ROOT / "sluice"), *command, "--help", stdout=asyncio.subprocess.PIPE
        )
        await process.communicate()
        assert process.returncode == 0, command


def test_the_yaml_is_a_configuration() -> None:
    from libs.config.providers import Model, Provider

    for block in _blocks("yaml"):
        content = yaml.safe_load(block)
        for provider in content["providers"].values():
            Provider.model_validate(provider)
        for model in content["models"]:
            Model.model_validate(model)


def test_links_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("services/*/README.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
