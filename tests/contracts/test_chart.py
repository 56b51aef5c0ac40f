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
from deploy.local.stack import OPTIONAL, SERVICES
from libs.bus.access import EVERYBODY, user_of

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
    assert set(_values()["services"]) == {*SERVICES, *OPTIONAL}


@helm
def test_helm_renders_everything() -> None:
    everything = [
        "--kube-version",
        "1.31.0",
        "--set",
        "keda.enabled=true,strimzi.topics=true,strimzi.users=true,otlpEndpoint=http://c:4318",
        "--set",
        "sinks.enabled=true,sinks.secret=sink-secrets,sinks.claim=files,sinks.ports={8443}",
    ]
    subprocess.run(["helm", "lint", str(CHART), *everything], check=True, capture_output=True)
    done = subprocess.run(["helm", "template", "sluice", str(CHART), *everything], check=True, capture_output=True)
    made = [one for one in yaml.safe_load_all(done.stdout) if one]
    kinds = {kind: sum(one["kind"] == kind for one in made) for kind in {one["kind"] for one in made}}
    assert kinds["StatefulSet"] == 1
    running = [*SERVICES, *OPTIONAL]
    assert kinds["Deployment"] == len(running) - 1
    assert kinds["PodDisruptionBudget"] == kinds["NetworkPolicy"] == len(running)
    assert kinds["KafkaUser"] == len(EVERYBODY)
    assert kinds["KafkaTopic"] == len(facts.topics())
    assert _reached(made, "policy") == {53, 9093, 4318}, "it reaches Kafka, and nothing else"
    assert _reached(made, "sinks") == {53, 9093, 4318, 8443}
    (sinks,) = (one for one in made if one["kind"] == "Deployment" and one["metadata"]["name"] == "sluice-sinks")
    (container,) = sinks["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "sink-secrets"}}]
    assert {"name": "files", "mountPath": "/var/lib/sluice/files"} in container["volumeMounts"]


@helm
def test_sinks_are_no_workload_where_they_are_not_wanted() -> None:
    done = subprocess.run(
        ["helm", "template", "sluice", str(CHART), "--kube-version", "1.31.0"], check=True, capture_output=True
    )
    assert b"sluice-sinks\n" not in done.stdout and b"services.sinks" not in done.stdout


def _reached(made: list[Any], service: str) -> set[int]:
    """The ports that a service's pods may connect to."""
    name = f"sluice-{service}"
    (policy,) = (one for one in made if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == name)
    return {port["port"] for rule in policy["spec"]["egress"] for port in rule.get("ports", [])}


@helm
@pytest.mark.parametrize("strimzi", [True, False])
def test_every_pod_has_its_own_password_the_ca_and_no_other_s_secret(strimzi: bool) -> None:
    chosen = ["--set", "strimzi.topics=true,strimzi.users=true"] if strimzi else []
    done = subprocess.run(
        ["helm", "template", "sluice", str(CHART), "--kube-version", "1.31.0", *chosen], check=True, capture_output=True
    )
    made = [one for one in yaml.safe_load_all(done.stdout) if one]
    for one in made:
        if one["kind"] not in ("StatefulSet", "Deployment"):
            continue
        spec = one["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        name = container["name"]
        variables = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert variables["SLUICE_KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
        assert variables["SLUICE_KAFKA_SASL_USERNAME"] == f"sluice-{name}"
        (volume,) = (volume for volume in spec["volumes"] if volume["name"] == "secrets")
        mounted = {
            f"/run/secrets/sluice/{item['path']}": (source["secret"]["name"], item["key"])
            for source in volume["projected"]["sources"]
            for item in source["secret"]["items"]
        }
        assert {value for value in variables.values() if value and value.startswith("/run/secrets/")} == set(mounted)
        password = (f"sluice-{name}", "password") if strimzi else ("sluice", f"kafka-password-{name}")
        assert mounted["/run/secrets/sluice/kafka-password"] == password
        assert mounted["/run/secrets/sluice/kafka-ca"] == ("sluice-cluster-ca-cert", "ca.crt")
    (job,) = (one for one in made if one["kind"] == "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert ("--database-only" in container["command"]) == strimzi
    assert any("KAFKA_PASSWORD" in variable["name"] for variable in container["env"]) != strimzi


def test_everybody_on_the_log_is_a_user_with_what_their_spec_lists() -> None:
    users = {one["user"]: one["acls"] for one in facts.users()}
    assert set(users) == {user_of(spec) for spec in EVERYBODY}
    assert {acl["pattern"] for acls in users.values() for acl in acls} == {"literal", "prefix"}
