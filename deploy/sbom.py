"""``python -m deploy.sbom``: a bill of materials of what the image and the local broker are made of (CycloneDX 1.6).

From the lock files alone: names, versions, SHA-256 of every file that may be installed; licences as the installed
packages state them, where they are installed.
"""

import json
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from libs.version import VERSION

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ROOT / "requirements.lock"
JARS = ROOT / "deploy" / "local" / "kafka" / "jars.lock"
_PACKAGE = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)((?:.|\n(?=\s))*)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_JAR = re.compile(r"^([0-9a-f]{64})  (.+?)-([0-9][^-\s]*(?:-[0-9A-Za-z.]+)*)\.jar$", re.MULTILINE)


def bill() -> dict[str, Any]:
    """The document."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "sluice", "version": VERSION}},
        "components": [*_packages(), *_jars()],
    }


def _packages() -> Iterator[dict[str, Any]]:
    for name, version, rest in _PACKAGE.findall(PACKAGES.read_text()):
        component = _component(name, version, f"pkg:pypi/{name}@{version}", _HASH.findall(rest))
        found = licence(name)
        yield component | ({"licenses": [{"license": {"name": found}}]} if found else {})


def _jars() -> Iterator[dict[str, Any]]:
    for digest, name, version in _JAR.findall(JARS.read_text()):
        yield _component(name, version, f"pkg:generic/{name}@{version}", [digest])


def _component(name: str, version: str, purl: str, digests: list[str]) -> dict[str, Any]:
    hashes = [{"alg": "SHA-256", "content": digest} for digest in digests]
    return {"type": "library", "name": name, "version": version, "purl": purl, "hashes": hashes}


def licence(name: str) -> str | None:
    """What an installed package says of its licence; None where it is not installed here, or says nothing."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    classified = [one.rpartition(" :: ")[2] for one in about.get_all("Classifier", []) if one.startswith("License")]
    stated = about["License-Expression"] or "; ".join(classified) or about["License"]
    return stated.splitlines()[0] if stated else None


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=1)
