"""Other gateways, installed from their registries into environments of their own, for ``./sluice bench --peers``.

Each passes the same requests on to the same provider, as its own documentation configures it: LiteLLM's proxy with two
workers and a key, without a database, so that it neither meters nor limits; Portkey's gateway, which has no keys.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import yaml

from deploy.local.home import plain_environment
from deploy.local.ports import LOOPBACK, free_port
from services.cli.output import report
from tests.bench.asking import Door
from tests.bench.contenders import STUB_KEY, Contender, Running, child, folder
from tests.clients.environments import NODE, installed

HERE = Path(__file__).parent
LITELLM_WORKERS = 2
LITELLM_KEY = "sk-bench-litellm"


def litellm(stub_url: str) -> Contender:
    """Its proxy: ``/chat/completions``, a master key, one worker a core."""

    @asynccontextmanager
    async def start() -> AsyncIterator[Running]:
        report("LiteLLM (its environment is made once, 300 MB)")
        environment = await installed(HERE / "litellm")
        upstream = {"model": "openai/echo-1", "api_base": stub_url, "api_key": STUB_KEY}
        config = {
            "model_list": [{"model_name": "echo", "litellm_params": upstream}],
            "general_settings": {"master_key": LITELLM_KEY},
        }
        port = free_port()
        with folder() as where:
            (where / "config.yaml").write_text(yaml.safe_dump(config))
            command = [str(environment / "bin" / "litellm"), "--config", str(where / "config.yaml")]
            command += ["--host", LOOPBACK, "--port", str(port), "--num_workers", str(LITELLM_WORKERS)]
            quiet = plain_environment() | {"LITELLM_TELEMETRY": "False", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
            async with child(command, port=port, log=where / "log", env=quiet, cwd=where) as pid:
                drive = partial(Door(f"http://{LOOPBACK}:{port}", "echo").load, LITELLM_KEY)
                yield Running(drive, {"litellm": pid})

    return start


def portkey(stub_url: str) -> Contender:
    """Its open gateway: who asks names provider, address and key with each request."""

    @asynccontextmanager
    async def start() -> AsyncIterator[Running]:
        report("Portkey (its environment is made once)")
        environment = await installed(HERE / "portkey")
        port = free_port()
        server = environment / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
        command = [str(NODE), str(server), f"--port={port}", "--headless"]
        named = {"x-portkey-provider": "openai", "x-portkey-custom-host": stub_url}
        with folder() as where:
            async with child(command, port=port, log=where / "log", env=plain_environment(), cwd=where) as pid:
                drive = partial(Door(f"http://{LOOPBACK}:{port}/v1", "echo-1", named).load, STUB_KEY)
                # 1.15.2 answers streams with 500 on Node 20 and 24: it changes headers that are immutable there.
                yield Running(drive, {"portkey": pid}, streams=False)

    return start


PEERS: dict[str, Callable[[str], Contender]] = {"litellm": litellm, "portkey": portkey}
