"""What benchmarks share: sides that take turns in one run, their table, and the line that says on what machine."""

from __future__ import annotations

import importlib.metadata
import platform
import statistics
import time
from collections.abc import Callable

from dkvb.runtime.parallel import cores

Side = Callable[[], float]
"""Runs once; returns seconds."""


def timed(work: Callable[[], object]) -> Side:
    """Seconds that some work takes."""

    def run() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return run


def take_turns(sides: dict[str, Side], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            seconds[name].append(side())
    return seconds


def ratio(above: list[float], below: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def show(
    title: str,
    seconds: dict[str, list[float]],
    against: list[str],
    rate: Callable[[str, float], str] = lambda name, s: "",
) -> None:
    """A row a side: milliseconds and extremes, a rate, and how many times as long as each of `against` it took."""
    columns = "".join(f" {'x ' + name[:22]:>24}" for name in against)
    print(f"\n{title}\n{'':44} {'ms':>9} {'min':>9} {'max':>9} {'':8}{columns}")
    for name, taken in seconds.items():
        ratios = "".join(f" {ratio(taken, seconds[other]):24.2f}" for other in against)
        middle = statistics.median(taken)
        print(
            f"{name:44} {middle * 1e3:9.2f} {min(taken) * 1e3:9.2f} {max(taken) * 1e3:9.2f}"
            f" {rate(name, middle):>8}{ratios}",
            flush=True,
        )


def machine(*packages: str) -> None:
    """A line on what is measured on, and with what."""
    found = []
    for package in packages:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {package}")
    print(f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}, {', '.join(found)}", flush=True)
