"""``python -m services.rate_limit``."""

from libs.bus.service import run
from services.rate_limit.app import build

run("rate-limit", build)
