"""``python -m services.router``."""

from contracts.services import ROUTER
from libs.bus.service import run
from services.router.app import build

run(ROUTER, build)
