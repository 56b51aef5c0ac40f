"""``python -m services.sinks``."""

import libs.runtime.quick_start  # noqa: F401
from contracts.services import SINKS
from libs.bus.service import run
from services.sinks.app import build

run(SINKS, build)
