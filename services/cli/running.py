"""The Sluice that commands talk to, unless `--url` names another."""

from deploy.local.errors import StackError
from deploy.local.home import Home, StackState, default_homes


def running() -> tuple[Home, StackState]:
    """The Sluice that runs from this folder.

    Raises:
        StackError: none does.
    """
    for home in default_homes():
        state = home.running()
        if state:
            return home, state
    raise StackError("no Sluice runs from this folder; `./sluice up` starts one")
