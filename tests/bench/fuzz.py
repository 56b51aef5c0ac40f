"""``./sluice bench fuzz``: bad input of every kind, by a seed; what it breaks goes into the corpus when it is mended.

1. What takes strangers' bytes (`tests.fuzz.targets`), from the corpus and changed by the seed.
2. An ingress that runs: requests that can be read in two ways, bombs, changed bodies. None may be answered with 500,
   or not at all.
3. Both APIs by their OpenAPI documents: schemathesis, in an environment of its own (`uv tool run`). A bug is a status
   of 500 or above, or a status, a content type or an answer that the document does not have.
"""

import asyncio
import re
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import orjson

from deploy.local.home import ROOT
from services.cli.output import as_table, report
from tests.bench.stacks import finish, measured_stack
from tests.documents import put
from tests.fuzz.bodies import bombs, changed_bodies
from tests.fuzz.mutation import inputs
from tests.fuzz.sending import attack
from tests.fuzz.targets import TARGETS, corpus_of
from tests.fuzz.wire import cases_and_changes

PACKAGE = "schemathesis==4.32.5"
GENERATED = ROOT / "contracts" / "generated"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
DOCUMENT = ROOT / "docs" / "security.md"
MARK = "fuzz"
_CASES = re.compile(r"(\d[\d,]*) (?:test cases )?generated")
Row = tuple[str, str, int, int]
"""Of what, what, how many inputs, how many failures."""


def feed(seed: int, count: int) -> list[Row]:
    """All targets. Prints what breaks them."""
    rows: list[Row] = []
    for name, target in TARGETS.items():
        tried, broken = 0, 0
        for data in inputs(corpus_of(name), seed, int(count * target.share)):
            tried += 1
            try:
                target.feed(data)
            except Exception as error:
                broken += 1
                report(f"{name}: {error!r} of {data!r}"[:2_000])
        doc = (target.feed.__doc__ or "").strip().partition(".")[0]
        rows.append((name, doc, tried, broken))
        report(f"{name}: {tried} inputs, {broken} broke it")
    return rows


async def by_document(name: str, url: str, token: str, options: Namespace, models: list[str]) -> Row:
    """Runs schemathesis against one API."""
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / name
        document.write_bytes(orjson.dumps(_naming(orjson.loads((GENERATED / name).read_bytes()), models)))
        program = [options.program] if options.program else [str(_uv()), "tool", "run", "--from", PACKAGE, "st"]
        command = [
            *(*program, "run", str(document), "--url", url, "--checks", CHECKS),
            *("--header", f"Authorization: Bearer {token}"),
            *("--max-examples", str(options.examples), "--seed", str(options.seed), "--max-time", str(options.seconds)),
            *("--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--request-timeout", "60"),
        ]
        process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
    text = out.decode(errors="replace")
    sys.stdout.write(text)
    cases = _CASES.search(text)
    return (
        name,
        f"schemathesis, {options.seconds} s",
        int(cases[1].replace(",", "")) if cases else 0,
        process.returncode or 0,
    )


def _naming(value: Any, models: list[str]) -> Any:
    """The document, in which a model is one of these: of others little is read."""
    if isinstance(value, list):
        return [_naming(one, models) for one in value]
    if not isinstance(value, dict):
        return value
    copy = {name: _naming(one, models) for name, one in value.items()}
    if models and isinstance(copy.get("properties"), dict) and "model" in copy["properties"]:
        copy["properties"]["model"] = {"enum": models}
    return copy


def _uv() -> Path:
    return Path(sys.executable).with_name("uv")


async def _live(options: Namespace) -> list[Row]:
    async with measured_stack("embedded") as measured:
        requests = (
            *(("changed framing", data) for data in cases_and_changes(options.seed, options.requests)),
            *bombs(),
            *changed_bodies(options.seed, options.requests, measured.key, "stub/echo"),
        )
        seen = await attack(measured.stack.base_url, requests)
        for kind, what in seen.failed:
            report(f"{kind}: {what}")
        report(f"statuses: {dict(seen.statuses)}")
        broken = Counter(kind for kind, _ in seen.failed)
        rows: list[Row] = [("ingress", kind, count, broken[kind]) for kind, count in seen.sent.items()]
        if options.seconds:
            async with httpx.AsyncClient(trust_env=False) as http:
                listed = (await http.get(f"{measured.stack.base_url}/models")).json()["data"]
            gateway = measured.stack.base_url.partition("/api")[0]
            models = [model["id"] for model in listed]
            rows.append(await by_document("gateway-openapi.json", gateway, measured.key, options, models))
            token = measured.stack.operator_token()
            rows.append(await by_document("management-openapi.json", measured.stack.console_url, token, options, []))
        health = await measured.stack.health()
        failing = [name for name, answer in health.items() if not answer.get("ready")]
    if failing:
        sys.exit(f"sluice bench fuzz: not ready afterwards: {', '.join(failing)}")
    return rows


async def main(options: Namespace) -> None:
    """Runs all of it, and prints how many inputs of which kind there were."""
    began = time.monotonic()
    rows = [*feed(options.seed, options.inputs), *([] if options.cores else await _live(options))]
    as_table([dict(zip(("of", "what", "inputs", "failures"), row, strict=True)) for row in rows], "")
    if options.write:
        put(DOCUMENT, MARK, table(rows, options.seed, time.monotonic() - began))
    if any(row[3] for row in rows):
        sys.exit("sluice bench fuzz: see above what failed")


def table(rows: list[Row], seed: int, seconds: float) -> str:
    """As the document has it."""
    head = "| of | what | inputs | failures |\n|---|---|---|---|\n"
    lines = "".join(f"| {of} | {what} | {count:,} | {failed} |\n" for of, what, count, failed in rows)
    return f"{head}{lines}\nSeed {seed}, {seconds / 60:.0f} minutes, {sum(row[2] for row in rows):,} inputs.\n"


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inputs", type=int, default=20_000, help="of each target, at the most")
    parser.add_argument("--requests", type=int, default=2_000, help="of each kind that is changed by the seed")
    parser.add_argument("--examples", type=int, default=40, help="of each operation")
    parser.add_argument("--seconds", type=int, default=200, help="for each API, at the most; 0: without schemathesis")
    parser.add_argument("--cores", action="store_true", help="without a stack")
    parser.add_argument("--write", action="store_true", help="put the table into docs/security.md")
    parser.add_argument("--program", help="schemathesis, where it is installed; else uv brings it")
    finish(main(parser.parse_args()))
