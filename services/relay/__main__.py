"""``python -m services.relay``."""

from libs.bus.service import run
from services.relay.app import build

run("relay", build)
