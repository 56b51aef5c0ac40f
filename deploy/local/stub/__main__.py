"""``python -m deploy.local.stub PORT``: serves on loopback until it is stopped."""

import os
import sys

import uvicorn

from deploy.local.stub import KEY_VARIABLE
from deploy.local.stub.app import StubProvider

uvicorn.run(
    StubProvider(os.environ.get(KEY_VARIABLE)),
    host="127.0.0.1",
    port=int(sys.argv[1]),
    log_level="critical",
    access_log=False,
    lifespan="off",
    timeout_keep_alive=60,
)
