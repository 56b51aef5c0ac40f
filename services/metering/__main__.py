"""``python -m services.metering``."""

import libs.runtime.quick_start  # noqa: F401
from contracts.services import METERING
from libs.bus.service import run
from services.metering.app import build

run(METERING, build)
