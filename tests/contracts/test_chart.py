"""The Helm chart: what is generated in it is current, and Helm takes it where there is one."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from deploy.helm import facts
from deploy.local.stack import SERVICES

CHART = facts.FILES.parent
helm = pytest.mark.skipif(shutil.which("helm") is None, reason="no helm: docs/kubernetes.md says how it is built")


def _values() -> Any:
    return yaml.safe_load((CHART / "values.yaml").read_text())


def test_what_is_generated_is_current(tmp_path: Path) -> None:
    facts.write(tmp_path)
    for file in tmp_path.iterdir():
        assert file.read_text() == (facts.FILES / file.name).read_text(), "./sluice contracts"


def test_the_values_are_those_of_the_schema_and_name_every_service() -> None:
    jsonschema.validate(_values(), json.loads((CHART / "values.schema.json").read_text()))
    assert set(_values()["services"]) == set(SERVICES)


@helm
def test_helm_renders_everything() -> None:
    everything = [
        "--kube-version",
        "1.31.0",
        "--set",
        "keda.enabled=true,strimzi.topics=true,strimzi.users=true,otlpEndpoint=http://c:4318",
    ]
    subprocess.run(["helm", "lint", str(CHART), *everything], check=True, capture_output=True)
    done = subprocess.run(["helm", "template", "sluice", str(CHART), *everything], check=True, capture_output=True)
    made = [one for one in yaml.safe_load_all(done.stdout) if one]
    kinds = {kind: sum(one["kind"] == kind for one in made) for kind in {one["kind"] for one in made}}
    assert kinds["StatefulSet"] == 1
    assert kinds["Deployment"] == len(SERVICES) - 1
    assert kinds["PodDisruptionBudget"] == kinds["NetworkPolicy"] == kinds["KafkaUser"] == len(SERVICES)
    assert kinds["KafkaTopic"] == len(facts.topics())
    (policy,) = (one for one in made if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == "sluice-policy")
    ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule.get("ports", [])}
    assert ports == {53, 9092, 4318}, "it reaches Kafka, and nothing else"
