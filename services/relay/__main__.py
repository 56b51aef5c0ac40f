"""``python -m services.relay``."""

from contracts.services import RELAY
from libs.bus.service import run
from services.relay.app import build

run(RELAY, build)
