"""``python -m services.rate_limit``."""

import libs.runtime.quick_start  # noqa: F401
from contracts.services import RATE_LIMIT
from libs.bus.service import run
from services.rate_limit.app import build

run(RATE_LIMIT, build)
