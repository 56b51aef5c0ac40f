"""``python -m services.rate_limit``."""

from contracts.services import RATE_LIMIT
from libs.bus.service import run
from services.rate_limit.app import build

run(RATE_LIMIT, build)
