"""``python -m services.relay``."""

import libs.runtime.quick_start  # noqa: F401
from contracts.services import RELAY
from libs.bus.service import run
from services.relay.app import build

run(RELAY, build)
