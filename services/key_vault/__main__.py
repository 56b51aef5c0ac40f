"""``python -m services.key_vault``."""

from contracts.services import KEY_VAULT
from libs.bus.service import run
from services.key_vault.app import build

run(KEY_VAULT, build)
