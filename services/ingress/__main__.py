"""``python -m services.ingress``."""

from libs.bus.service import run
from services.ingress.app import build

run("ingress", build)
