"""``python -m services.policy``."""

import libs.runtime.quick_start  # noqa: F401
from contracts.services import POLICY
from libs.bus.service import run
from services.policy.app import build

run(POLICY, build)
