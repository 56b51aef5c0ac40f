"""``python -m services.policy``."""

from contracts.services import POLICY
from libs.bus.service import run
from services.policy.app import build

run(POLICY, build)
