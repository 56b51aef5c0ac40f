"""The record's figures as Markdown. Pure."""

from collections.abc import Iterator
from typing import Any

Results = dict[str, dict[str, Any]]


def markdown(found: dict[str, Any]) -> str:
    """Tables of one record: rates and delays, CPU by process, ratios to the commit that it was held against."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: dict[str, Any]) -> Iterator[str]:
    machine, results = found["machine"], found["results"]
    yield (
        f"Commit `{machine['commit']}`, Python {machine['python']}, {machine['system']}, {machine['cores']} cores, "
        f"load before {machine['load before']}; {found['rounds']} alternated rounds of {found['seconds']:g} s at each "
        "load; median, and in parentheses the least and the most."
    )
    for load in _loads(results):
        what = "20 streams of 200 chunks, 5 ms apart" if load == "streams" else f"{load} in flight"
        yield f"\n**{what}**\n"
        yield "| | requests/s | p50 ms | p95 ms | first byte p50 / p95 ms | CPU ms a request | errors | audit |"
        yield "|---|---|---|---|---|---|---|---|"
        for name, of_one in results.items():
            if f"{load} per s" in of_one:
                yield _row(name, of_one, load)
    yield from _processes(results)
    yield from _ratios(results)


def _loads(results: Results) -> list[str]:
    names = [
        figure.removesuffix(" per s") for of_one in results.values() for figure in of_one if figure.endswith(" per s")
    ]
    return list(dict.fromkeys(names))


def _row(name: str, of_one: dict[str, Any], load: str) -> str:
    cpu = of_one[f"{load} CPU ms"]["all"]
    audit = {True: "clean", False: "**differs**", None: ""}[of_one.get("audit")]
    first = f"{of_one[f'{load} first byte p50 ms']['median']:.1f} / {of_one[f'{load} first byte p95 ms']['median']:.1f}"
    return (
        f"| {name} | {_spread(of_one[f'{load} per s'], 0)} | {_spread(of_one[f'{load} p50 ms'], 1)} "
        f"| {of_one[f'{load} p95 ms']['median']:.1f} | {first} | {f'{cpu:.2f}' if cpu else ''} "
        f"| {of_one[f'{load} errors']['most']:g} | {audit} |"
    )


def _spread(value: dict[str, float], digits: int) -> str:
    return f"{value['median']:,.{digits}f} ({value['least']:,.{digits}f} to {value['most']:,.{digits}f})"


def _processes(results: Results) -> Iterator[str]:
    load = next((one for one in reversed(_loads(results)) if one != "streams"), None)
    shown = {name: of_one for name, of_one in results.items() if of_one.get(f"{load} CPU ms", {}).get("all")}
    if not shown:
        return
    processes = sorted({name for of_one in shown.values() for name in of_one[f"{load} CPU ms"]} - {"all"})
    yield f"\n**CPU ms a request by process, {load} in flight; memory MiB in parentheses**\n"
    yield f"| process | {' | '.join(shown)} |"
    yield f"|---|{'---|' * len(shown)}"
    for process in [*processes, "all"]:
        cells = []
        for of_one in shown.values():
            cpu, memory = of_one[f"{load} CPU ms"].get(process), of_one["memory MiB"].get(process)
            cells.append("" if cpu is None else f"{cpu:.2f} ({memory or 0:.0f})")
        yield f"| {process} | {' | '.join(cells)} |"


def _ratios(results: Results) -> Iterator[str]:
    ours = results.get("sluice")
    others = {name: of_one for name, of_one in results.items() if name not in ("sluice", "direct")}
    if not ours or not others:
        return
    yield "\n**Sluice, divided by the other**\n"
    yield f"| | {' | '.join(others)} |"
    yield f"|---|{'---|' * len(others)}"
    for load in _loads(results):
        for figure in ("per s", "p50 ms", "first byte p50 ms"):
            name = f"{load} {figure}"
            if figure.startswith("first") and load != "streams":
                continue
            cells = [_ratio(ours.get(name), of_one.get(name), "median") for of_one in others.values()]
            yield f"| {name} | {' | '.join(cells)} |"
        name = f"{load} CPU ms"
        cells = [_ratio(ours.get(name), of_one.get(name), "all") for of_one in others.values()]
        yield f"| {name} | {' | '.join(cells)} |"


def _ratio(ours: dict[str, float] | None, theirs: dict[str, float] | None, part: str) -> str:
    return f"{ours[part] / theirs[part]:.2f}" if ours and theirs and theirs[part] else ""
