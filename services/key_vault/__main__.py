"""``python -m services.key_vault``."""

from libs.bus.service import run
from services.key_vault.app import build

run("key-vault", build)
