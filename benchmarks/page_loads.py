"""How large the pages of a report are, and how long Chromium takes to show them.

`python benchmarks/page_loads.py REPORTS`. Per page: bytes of the page itself, of the charts' library beside it, and of
the data that it links; wall time until all charts are drawn, and the processor time that Chromium's processes take for
it, each the median of several loads.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from browser import Browser, program


def processor(browser: Browser) -> float:
    """Seconds of processor time that the browser and its children have taken so far."""
    root = psutil.Process(browser.process.pid)
    spent = 0.0
    for process in [root, *root.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system
    return spent


def load(browser: Browser, page: Path, width: int) -> tuple[float, float]:
    """Wall and processor seconds until a page's charts are drawn."""
    before, started = processor(browser), time.perf_counter()
    browser.open(page, width)
    browser.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return time.perf_counter() - started, processor(browser) - before


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("reports", type=Path)
    arguments.add_argument("--loads", type=int, default=5)
    arguments.add_argument("--width", type=int, default=1440)
    options = arguments.parse_args()
    found = program()
    if not found:
        sys.exit("There is no chromium on PATH.")
    browser = Browser(found, Path(tempfile.mkdtemp()))
    library = sum(path.stat().st_size for path in (options.reports / "assets").glob("*.js"))
    print(f"library: {library / 1000:,.0f} kB")
    print("page | kB | data beside, kB | charts | wall, s | processor, s")
    for page in sorted(options.reports.glob("*.html")):
        times = [load(browser, page.resolve(), options.width) for _ in range(options.loads)]
        wall, spent = (statistics.median(one) for one in zip(*times, strict=True))
        beside = sum(path.stat().st_size for path in (options.reports / "data").glob(f"{page.stem}-*.parquet"))
        drawn = browser.count(".plot")
        sizes = f"{page.stat().st_size / 1000:,.0f} | {beside / 1000:,.0f}"
        print(f"{page.stem} | {sizes} | {drawn} | {wall:.2f} | {spent:.2f}", flush=True)
    browser.close()


if __name__ == "__main__":
    main()
