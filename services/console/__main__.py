"""``python -m services.console``."""

import libs.runtime.quick_start  # noqa: F401
from contracts.services import CONSOLE
from libs.bus.service import run
from services.console.app import build

run(CONSOLE, build)
