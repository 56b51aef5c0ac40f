"""Prompts and answers of an organization whose policy has them kept: to a file of the sink, and nowhere else."""

import json
from pathlib import Path
from typing import Any

import yaml

from contracts import topics
from libs.bus.reading import read_to_end
from libs.sealing.hybrid import to_base64
from tests.e2e.plane import Plane
from tests.integration.test_sinks import ready, sink_service
from tests.receivers import texts_in
from tests.stacks import CONTENTS_KEY, Gateway, until

POLICY = yaml.safe_load("contents: {keep_days: 7}")
SECRET_WORDS = "the plan is called Heliotrope; ask ada@example.com"


def _rows(folder: Path) -> dict[str, dict[str, Any]]:
    """What all files have, by request."""
    texts = [text for file in folder.rglob("*.parquet") for text in texts_in(file.read_bytes(), "data")]
    return {row["request_id"]: row for row in map(json.loads, texts)}


async def test_prompts_and_answers_reach_the_sink_of_who_keeps_them_redacted(gateway: Gateway, tmp_path: Path) -> None:
    plane, folder = Plane(gateway, 1), tmp_path / "review"
    person = await plane.person()
    keeps, other = [
        (await plane.call("POST", "/api/organizations", {"name": name}, key=person.key))["id"] for name in ("K", "O")
    ]
    await plane.call("PUT", f"/api/organizations/{keeps}/policy", POLICY, key=person.key)
    shown = await plane.call("GET", f"/api/organizations/{keeps}/policy", key=person.key)
    assert shown["policy"]["contents"]["keep_days"] == 7 and "email" in shown["policy"]["contents"]["redact"]
    sinks = {"review": {"kind": "files", "path": str(folder), "records": ["contents"], "gather_s": 1}}
    key = {"SLUICE_SINK_CONTENTS_KEY": to_base64(CONTENTS_KEY.private_bytes())}
    async with sink_service(gateway.stack.bus, tmp_path, sinks, **key) as (_child, port):
        await ready(port)
        await plane.ask(person.key, SECRET_WORDS, other)

        for stream in (False, True):
            asked: set[str] = set()

            async def kept(stream: bool = stream, asked: set[str] = asked) -> str | None:
                # The first ones may come before the relay knows of the policy.
                if len(asked) < 10:
                    answer = await plane.ask(person.key, SECRET_WORDS, keeps, stream=stream)
                    asked.add(answer.headers["x-request-id"])
                return next((str(row) for request_id, row in _rows(folder).items() if request_id in asked), None)

            found = await until(kept, what="contents in a file")
            assert "Heliotrope; ask [EMAIL]" in found and "the quick gateway" in found
        assert {row["organization_id"] for row in _rows(folder).values()} == {keeps}
        (named,) = {file.parent.parent.name for file in folder.rglob("*.parquet")}
        assert named == keeps
        assert all("_until-" in file.name for file in folder.rglob("*.parquet"))
    values = [raw.value async for raw in read_to_end(gateway.stack.bus, topics.CONTENTS)]
    assert values and not any(b"Heliotrope" in value for value in values)
