"""``python -m services.router``."""

import libs.runtime.quick_start  # noqa: F401
from contracts.services import ROUTER
from libs.bus.service import run
from services.router.app import build

run(ROUTER, build)
