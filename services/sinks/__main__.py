"""``python -m services.sinks``."""

from contracts.services import SINKS
from libs.bus.service import run
from services.sinks.app import build

run(SINKS, build)
