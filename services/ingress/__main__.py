"""``python -m services.ingress``."""

from contracts.services import INGRESS
from libs.bus.service import run
from services.ingress.app import build

run(INGRESS, build)
