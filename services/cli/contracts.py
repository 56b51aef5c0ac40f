"""``contracts``: writes the generated documents anew."""

import json
import shutil
import subprocess
import sys

from deploy.local.home import ROOT
from libs.bus.documents import acls, asyncapi, schemas
from services.cli.output import report

GENERATED = ROOT / "contracts" / "generated"
ACLS = ROOT / "deploy" / "kafka" / "acls.sh"


def contracts() -> None:
    """Write the JSON Schemas, the AsyncAPI and the OpenAPI document of contracts/ anew."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    for name, schema in schemas().items():
        file = GENERATED / "schemas" / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    (GENERATED / "asyncapi.yaml").write_text(asyncapi())
    openapi = subprocess.run([sys.executable, "-m", "services.console.openapi"], capture_output=True, check=True)
    (GENERATED / "management-openapi.json").write_bytes(openapi.stdout)
    ACLS.write_text(acls())
    ACLS.chmod(0o755)
    report(f"written: {GENERATED.relative_to(ROOT)}")
