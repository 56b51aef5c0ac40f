"""``python -m services.metering``."""

from libs.bus.service import run
from services.metering.app import build

run("metering", build)
