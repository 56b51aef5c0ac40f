"""``./sluice bench fuzz``: schemathesis against the management API of a running Sluice, by its OpenAPI document.

On demand, in an environment of its own (`uv tool run`): it is no dependency, and takes minutes. What it reports is a
bug: a status of 500 or above, or a status, a content type or an answer that the document does not have.
"""

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

import orjson

from deploy.local.home import ROOT
from services.cli.output import report
from tests.bench.stacks import finish, measured_stack

PACKAGE = "schemathesis==4.32.5"
DOCUMENT = ROOT / "contracts" / "generated" / "management-openapi.json"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


async def main(options: Namespace) -> None:
    """Starts a stack, and runs schemathesis as its operator."""
    program = [options.program] if options.program else [str(_uv()), "tool", "run", "--from", PACKAGE, "st"]
    async with measured_stack("embedded") as measured:
        command = [
            *(*program, "run", str(DOCUMENT), "--url", measured.stack.console_url, "--checks", CHECKS),
            *("--header", f"Authorization: Bearer {measured.stack.operator_token()}"),
            *("--max-examples", str(options.examples), "--seed", str(options.seed), "--max-time", str(options.seconds)),
            *("--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--request-timeout", "30"),
        ]
        report(f"{len(orjson.loads(DOCUMENT.read_bytes())['paths'])} paths, seed {options.seed}")
        process = await asyncio.create_subprocess_exec(*command, cwd=options.folder)
        code = await process.wait()
        health = await measured.stack.health()
        failing = [name for name, answer in health.items() if not answer.get("ready")]
    if failing:
        sys.exit(f"sluice bench fuzz: not ready afterwards: {', '.join(failing)}")
    sys.exit(code)


def _uv() -> Path:
    return Path(sys.executable).with_name("uv")


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=40, help="of each operation")
    parser.add_argument("--seconds", type=int, default=300, help="at the most")
    parser.add_argument("--program", help="schemathesis, where it is installed; else uv brings it")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="for schemathesis' own files")
    finish(main(parser.parse_args()))
