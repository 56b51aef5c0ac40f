"""The project's own files agree with each other."""

import json
import re
import tomllib
from typing import Any

import yaml

from deploy.local.home import ROOT
from libs.version import VERSION
from services.cli.contracts import OPENAPI

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS: dict[str, Any] = tomllib.loads((ROOT / "contracts/pyproject.toml").read_text())


def test_there_is_one_version_number() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    asyncapi = yaml.safe_load((ROOT / "contracts/generated/asyncapi.yaml").read_text())
    openapi = {
        name: json.loads((ROOT / "contracts/generated" / name).read_text())["info"]["version"] for name in OPENAPI
    }
    changes = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert changes
    found = {
        "pyproject.toml": PROJECT["project"]["version"],
        "contracts/pyproject.toml": CONTRACTS["project"]["version"],
        "docker-compose.yml": compose["services"]["ingress"]["image"].partition(":")[2],
        "asyncapi.yaml": asyncapi["info"]["version"],
        **openapi,
        "CHANGELOG.md": changes[1],
    }
    assert {file: version for file, version in found.items() if version != VERSION} == {}


def test_a_wheel_holds_every_package() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert packages == PROJECT["tool"]["importlinter"]["root_packages"]
    assert set(packages) == {file.parent.name for file in ROOT.glob("*/__init__.py")} - {"tests"}
