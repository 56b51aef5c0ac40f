"""``plot.py RECORD FOLDER``: a record's figures as pictures. Runs in an environment that has matplotlib."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

from matplotlib import pyplot as plt

SIZE_INCHES = (8, 4)
DOTS_PER_INCH = 120
WHOLE_FROM = 100
OURS = "#2f6fdb"
OTHERS = "#9aa5b1"


def main(record: Path, folder: Path) -> None:
    """Three pictures: rate and CPU a request at the highest load, and delay against load."""
    found = json.loads(record.read_text())
    results: dict[str, Any] = found["results"]
    machine = found["machine"]
    loads = sorted(
        {
            int(figure.removesuffix(" per s"))
            for of_one in results.values()
            for figure in of_one
            if figure.removesuffix(" per s").isdigit()
        }
    )
    ran_on = f"commit {machine['commit']}, {machine['cores']} cores, Python {machine['python']}"
    most = loads[-1]
    gateways = {name: of_one for name, of_one in results.items() if name != "direct"}
    _bars(
        folder / "rate.png",
        f"Requests a second, {most} in flight\n{ran_on}",
        {name: of_one[f"{most} per s"]["median"] for name, of_one in gateways.items()},
    )
    _bars(
        folder / "cpu.png",
        f"CPU ms a request, {most} in flight, all processes\n{ran_on}",
        {name: of_one[f"{most} CPU ms"]["all"] for name, of_one in gateways.items()},
    )
    _lines(folder / "delay.png", f"p50 and p95, ms, by requests in flight\n{ran_on}", gateways, loads)


def _bars(path: Path, title: str, values: dict[str, float]) -> None:
    figure, axes = plt.subplots(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH)
    names = list(values)
    drawn = axes.barh(names, list(values.values()), color=[OURS if name == "sluice" else OTHERS for name in names])
    axes.bar_label(drawn, fmt=_figure, padding=4)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    _save(figure, path)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= WHOLE_FROM else f"{value:.2f}"


def _lines(path: Path, title: str, results: dict[str, Any], loads: list[int]) -> None:
    figure, axes = plt.subplots(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH)
    for name, of_one in results.items():
        (line,) = axes.plot(loads, [of_one[f"{load} p50 ms"]["median"] for load in loads], marker="o", label=name)
        p95 = [of_one[f"{load} p95 ms"]["median"] for load in loads]
        axes.plot(loads, p95, linestyle=":", color=line.get_color())
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(loads, [str(load) for load in loads])
    axes.set_title(f"{title} (dotted: p95)", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.3)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
