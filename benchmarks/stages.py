#!/usr/bin/env python3
"""Where the time and the memory of a run go: every stage as a process of its own, from an empty workspace.

    python benchmarks/stages.py RECIPE [--sweep]

On whatever data the recipe names; `digits` needs none. Prints a row per stage: wall seconds, processor seconds, peak
resident memory, bytes written. Start-up (imports) is part of each row and shown apart, as the time that `dkvb status`
takes.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STAGES = ("status", "embed", "quantize", "train", "unlearn", "report")


def measure(command: list[str]) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak resident GB of a command."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if status:
        sys.exit(f"{' '.join(command)} failed; run it by hand to see why")
    scale = 1 if sys.platform == "darwin" else 1024
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * scale / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--sweep", action="store_true", help="also measure the curve over N")
    arguments = parser.parse_args()
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"
    print(f"{machine}, recipe {arguments.recipe}")
    print(f"{'stage':10} {'wall s':>8} {'cpu s':>8} {'peak GB':>8} {'disk GB':>8}")
    totals = [0.0, 0.0, 0.0]
    with tempfile.TemporaryDirectory() as folder:
        for stage in STAGES:
            command = [sys.executable, "-m", "dkvb", stage, "--recipe", arguments.recipe]
            command += ["--data-dir", f"{folder}/data", "--reports-dir", f"{folder}/reports"]
            if arguments.sweep and stage == "unlearn":
                command.append("--sweep")
            wall, cpu, peak = measure(command)
            disk = sum(path.stat().st_size for path in Path(folder, "data", stage).rglob("*") if path.is_file()) / 1e9
            name = "start-up" if stage == "status" else stage
            print(f"{name:10} {wall:8.1f} {cpu:8.1f} {peak:8.2f} {disk:8.3f}", flush=True)
            if stage != "status":
                totals = [totals[0] + wall, totals[1] + cpu, max(totals[2], peak)]
    print(f"{'together':10} {totals[0]:8.1f} {totals[1]:8.1f} {totals[2]:8.2f}")


if __name__ == "__main__":
    main()
