"""``python -m services.router``."""

from libs.bus.service import run
from services.router.app import build

run("router", build)
