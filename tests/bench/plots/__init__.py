"""Pictures of a record. matplotlib is in an environment of its own: nobody else needs it."""

from pathlib import Path

from tests.clients.environments import installed, run

HERE = Path(__file__).parent
DRAWN_WITHIN_S = 120


async def draw(record: Path, folder: Path) -> None:
    """Draws ``rate.png``, ``cpu.png`` and ``delay.png`` of a ``record.json``.

    Raises:
        RuntimeError: it could not; the message says why.
    """
    python = await installed(HERE) / "bin" / "python"
    command = (str(python), str(HERE / "plot.py"), str(record.resolve()), str(folder.resolve()))
    code, out, err = await run(*command, folder=HERE, environment={}, within_s=DRAWN_WITHIN_S)
    if code != 0:
        raise RuntimeError((out + err)[-1000:])
