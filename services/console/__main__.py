"""``python -m services.console``."""

from contracts.services import CONSOLE
from libs.bus.service import run
from services.console.app import build

run(CONSOLE, build)
