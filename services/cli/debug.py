"""``debug``: one service of a running stack in the foreground, under a debugger."""

import os
import sys
from typing import Annotated

import psutil
import typer

from deploy.local.errors import StackError
from deploy.local.stack import SERVICES
from libs.runtime.supervised import DRAINING, SOCKETS
from services.cli.down import DOWN_WITHIN_S
from services.cli.output import report
from services.cli.running import running

_OF_THE_TERMINAL = ("TERM", "PYTHONBREAKPOINT")


def debug(
    context: typer.Context, service: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}.")]
) -> None:
    """Run one service of the running Sluice here, in the foreground: `breakpoint()` stops in it.

    Further arguments are Python's: `debug relay -m pdb`, `debug relay -m debugpy --listen 5678`. When the process ends,
    the supervisor starts the service again.
    """
    if service not in SERVICES:
        raise StackError(f"there is no service {service!r}; there are {', '.join(SERVICES)}")
    home, state = running()
    if service not in state.services:
        raise StackError(f"{service} does not run; is it debugged already?")
    try:
        process = psutil.Process(state.services[service].pid)
        environment = process.environ()
        home.debug(service)
        process.terminate()
        process.wait(DOWN_WITHIN_S)
    except psutil.Error as error:
        raise StackError(f"{service} could not be stopped ({type(error).__name__}); try again") from None
    for name in (SOCKETS, DRAINING):
        # These descriptors were the former process's.
        environment.pop(name, None)
    environment |= {name: os.environ[name] for name in _OF_THE_TERMINAL if name in os.environ}
    report(f"{service} runs here, with the environment of its stack; Ctrl-C ends it")
    module = f"services.{service.replace('-', '_')}"
    # The same process goes on as the service, so that the mark in the home ends with it.
    os.execve(sys.executable, [sys.executable, *context.args, "-m", module], environment)  # noqa: S606
