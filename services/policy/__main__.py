"""``python -m services.policy``."""

from libs.bus.service import run
from services.policy.app import build

run("policy", build)
