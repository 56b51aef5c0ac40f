"""``python -m services.ingress``."""

import libs.runtime.quick_start  # noqa: F401
from contracts.services import INGRESS
from libs.bus.service import run
from services.ingress.app import build

run(INGRESS, build)
