"""``python -m services.console``."""

from libs.bus.service import run
from services.console.app import build

run("console", build)
