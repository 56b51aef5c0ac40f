"""What kind of work a stack was doing. Pure.

From the innermost frame outwards the first that a rule knows decides: what the standard library or pydantic does is
its caller's.
"""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from libs.runtime.sampling import LOOP

Frames = tuple[str, ...]
"""``file:function``, outermost first."""
Stacks = Mapping[Frames, float]
"""Microseconds of CPU."""

EVENT_LOOP = "event loop and its system calls"
FETCHING = "Kafka client: fetching"
PRODUCING = "Kafka client: producing"
CONNECTION = "Kafka client: connection"
DECODING = "decoding of records and bodies"
ENCODING = "encoding of records and bodies"
HTTP = "HTTP of clients"
PROVIDER = "HTTP of providers"
DATABASE = "database"
TELEMETRY = "metrics, traces and logs"
GARBAGE = "garbage collection"
OWN = "own: "
LEAST_US = 0.5
"""Less is left out of tables."""

_RULES = (
    ("libs/runtime/sampling.py:garbage_collection", GARBAGE),
    ("aiokafka/consumer/", FETCHING),
    ("aiokafka/coordinator/", CONNECTION),
    ("aiokafka/producer/", PRODUCING),
    ("aiokafka/partitioner.py", PRODUCING),
    ("aiokafka/conn.py", CONNECTION),
    ("aiokafka/client.py", CONNECTION),
    ("aiokafka/cluster.py", CONNECTION),
    ("contracts/decoding.py", DECODING),
    ("contracts/record.py:Record.decode", DECODING),
    ("contracts/record.py:Record.encode", ENCODING),
    ("libs/bus/records.py:decode", DECODING),
    ("pydantic/main.py:BaseModel.model_validate", DECODING),
    ("pydantic/type_adapter.py:TypeAdapter.validate", DECODING),
    ("pydantic/main.py:BaseModel.model_dump", ENCODING),
    ("json/decoder.py", DECODING),
    ("json/encoder.py", ENCODING),
    ("uvicorn/", HTTP),
    ("starlette/", HTTP),
    ("libs/runtime/connection.py", HTTP),
    ("libs/runtime/framing.py", HTTP),
    ("libs/runtime/server.py", HTTP),
    ("aiohttp/", PROVIDER),
    ("yarl/", PROVIDER),
    ("multidict/", PROVIDER),
    ("asyncpg/", DATABASE),
    ("libs/database/", DATABASE),
    ("libs/telemetry/", TELEMETRY),
    ("opentelemetry/", TELEMETRY),
    ("structlog/", TELEMETRY),
    ("logging/", TELEMETRY),
)
_OURS = {"contracts": "contracts", "services": "the service itself"}


def kind(frames: Frames) -> str:
    """The kind of the work that this stack was doing."""
    if frames and frames[-1] == LOOP:
        return EVENT_LOOP
    for frame in reversed(frames):
        for beginning, found in _RULES:
            if frame.startswith(beginning):
                return found
        top, *below = PurePosixPath(frame.partition(":")[0]).parts
        if top == "libs" and below:
            return f"{OWN}libs/{below[0].removesuffix('.py')}"
        if top in _OURS:
            return f"{OWN}{_OURS[top]}"
    if any(frame.startswith("aiokafka/") for frame in frames):
        return CONNECTION
    return EVENT_LOOP


def by_kind(stacks: Stacks) -> dict[str, float]:
    """Microseconds of each kind."""
    found: dict[str, float] = {}
    for frames, spent_us in stacks.items():
        name = kind(frames)
        found[name] = found.get(name, 0.0) + spent_us
    return found


def table(services: Mapping[str, Mapping[str, float]], processes_us: Mapping[str, float]) -> Iterable[str]:
    """Lines of Markdown: microseconds a request of each kind, the most first, in columns of services.

    Args:
        services: by kind.
        processes_us: as the kernel counts, of those, and of others whose kinds nobody knows.
    """
    names = {name for kinds in services.values() for name in kinds}
    sums = {name: sum(kinds.get(name, 0.0) for kinds in services.values()) for name in names}
    yield f"| µs a request | {' | '.join(services)} | all |"
    yield f"|---|{'---:|' * len(services)}---:|"
    for name in sorted(names, key=lambda one: (-sums[one], one)):
        if sums[name] >= LEAST_US:
            yield _row(name, [kinds.get(name, 0.0) for kinds in services.values()])
    yield _row("**all**", [sum(kinds.values()) for kinds in services.values()])
    yield _row("as the kernel counts", [processes_us[name] for name in services])
    others = {name: spent_us for name, spent_us in processes_us.items() if name not in services}
    if others:
        yield ""
        yield f"Beside them: {', '.join(f'{name} {spent_us:,.0f} µs' for name, spent_us in others.items())}."


def _row(name: str, values: list[float]) -> str:
    cells = [f"{value:,.0f}" if value >= LEAST_US else "" for value in [*values, sum(values)]]
    return f"| {name} | {' | '.join(cells)} |"
