"""``python -m services.key_vault``."""

import libs.runtime.quick_start  # noqa: F401
from contracts.services import KEY_VAULT
from libs.bus.service import run
from services.key_vault.app import build

run(KEY_VAULT, build)
