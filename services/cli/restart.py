"""``restart``."""

import os
import time

from deploy.local.home import Home, StackState
from services.cli.output import fail, out, report
from services.cli.run import RESTART
from services.cli.running import running

RESTARTED_WITHIN_S = 180
LOOK_EVERY_S = 0.2


def restart() -> None:
    """Start all services anew, one after the other: no request fails."""
    home, state = running()
    os.kill(state.pid, RESTART)
    deadline = time.monotonic() + RESTARTED_WITHIN_S
    shown = set[str]()
    while (now := _state(home)).rolls == state.rolls:
        for name, service in now.services.items():
            if name in state.services and service.pid != state.services[name].pid and name not in shown:
                shown.add(name)
                report(f"restarted: {name}")
        if time.monotonic() > deadline:
            fail(f"not all services were ready again within {RESTARTED_WITHIN_S} s; see `./sluice status`")
        time.sleep(LOOK_EVERY_S)
    out.print(f"{len(now.services)} processes run; all are ready", markup=False)


def _state(home: Home) -> StackState:
    state = home.running()
    if state is None:
        fail("it does not run any more")
    return state
