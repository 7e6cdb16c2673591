#!/usr/bin/env python3
"""What `dkvb run digits` takes from nothing, the pages written again, and where the seconds go.

    python benchmarks/start.py [--rounds N]

Each command is a process of its own, in an empty folder with an empty cache. Below them what one process takes for
imports and for each stage. Wall and processor seconds (user and system, of child processes as well), medians; on a
machine with other work only the processor seconds mean something, and these are higher than on an idle one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from turns import machine

Seconds = tuple[float, float]
"""Wall and processor."""

INSIDE = """
import os, sys, time
from pathlib import Path

from dkvb.runtime.garbage import search_seldom
search_seldom()

def clock():
    return time.perf_counter(), sum(os.times()[:4])

def tell(name, before):
    print(name, *(now - then for now, then in zip(clock(), before)), sep="\\t", flush=True)

def work(name, code):
    before = clock()
    exec(code, globals())
    tell(name, before)

work("import torch", "import torch")
work("import scikit-learn", "import sklearn.linear_model, sklearn.datasets")
work("import dkvb, and the rest", "from dkvb.commands import answers, tables\\n"
     "from dkvb.stages import embed, quantize, train, unlearn, report\\n"
     "from dkvb import load_recipe\\nfrom dkvb.workspace.artifacts import Workspace")
recipe, workspace = load_recipe("digits"), Workspace(Path("data"), Path("reports"))
for stage in (embed, quantize, train, unlearn, report):
    work(stage.__name__.rpartition(".")[2], "stage.run(recipe, workspace)")
work("five pages again", "report.run(recipe, workspace, force=True)")
"""


def command(words: list[str], folder: Path) -> tuple[Seconds, str]:
    """Seconds of a Python process, and what it printed."""
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    environment.pop("DKVB_DATA", None)
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=folder, env=environment, stdout=printed, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if status:
            sys.exit(f"{' '.join(words)[:60]} failed; run it by hand to see why")
        printed.seek(0)
        return (wall, usage.ru_utime + usage.ru_stime), printed.read()


def one_round() -> dict[str, Seconds]:
    """Name to seconds of everything that is measured."""
    found: dict[str, Seconds] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found["dkvb run digits"], _ = command(["-m", "dkvb", "run", "digits"], folder)
        again = ["-m", "dkvb", "report", "--recipe", "digits", "--force"]
        found["dkvb report --force"], _ = command(again, folder)
    with tempfile.TemporaryDirectory() as name:
        _, printed = command(["-c", INSIDE], Path(name))
    for line in printed.splitlines():
        what, wall, processor = line.split("\t")
        found[f"  {what}"] = float(wall), float(processor)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    machine("torch", "scikit-learn", "pandas")
    print(f"load {os.getloadavg()[0]:.1f} at the start")
    rounds = [one_round() for _ in range(arguments.rounds)]
    print(f"{'':28} {'wall s':>8} {'processor s':>12}")
    for name in rounds[0]:
        wall, processor = (statistics.median(one[name][place] for one in rounds) for place in (0, 1))
        print(f"{name:28} {wall:8.2f} {processor:12.2f}", flush=True)


if __name__ == "__main__":
    main()
