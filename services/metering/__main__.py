"""``python -m services.metering``."""

from contracts.services import METERING
from libs.bus.service import run
from services.metering.app import build

run(METERING, build)
