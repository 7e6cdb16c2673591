#!/usr/bin/env python3
"""Time to list and to embed the same tiny PNGs as tar files of WebDataset and as a folder.

    python benchmarks/sources.py [--images 10000] [--per-tar 10000] [--place /tmp]

Made-up images of 8 x 8 pixels in ten classes, a tenth of them for testing, embedded by the encoder `pixels`, which
costs next to nothing: what is timed is reading. Each source is opened twice, since tar headers are remembered. Files
are written below `--place` and removed at the end; all are in the system's memory when they are read.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image

from dkvb.recipe import load
from dkvb.runtime import progress
from dkvb.sources.opening import open_source
from dkvb.stages import embed
from dkvb.workspace.artifacts import Workspace

SIDE, CLASSES = 8, 10


def images(count: int) -> Iterator[tuple[str, int, str, bytes]]:
    """Split, class, name and PNG of each image."""
    rng = np.random.default_rng(0)
    for i in range(count):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(buffer, "png")
        yield "test" if i % 10 == 9 else "train", i // 10 % CLASSES, f"{i:08d}", buffer.getvalue()


def write(root: Path, count: int, per_tar: int) -> None:
    """Every image in `root/folder` and in `root/tars`."""
    written = {"train": 0, "test": 0}
    (root / "tars").mkdir()
    with ExitStack() as stack:
        tars: dict[str, tarfile.TarFile] = {}
        for split, label, name, png in images(count):
            folder = root / "folder" / split / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.png").write_bytes(png)
            if written[split] % per_tar == 0:
                path = root / f"tars/{split}-{written[split] // per_tar:06d}.tar"
                tars[split] = stack.enter_context(tarfile.open(path, "w"))
            written[split] += 1
            for extension, content in (("png", png), ("cls", str(label).encode())):
                member = tarfile.TarInfo(f"{name}.{extension}")
                member.size = len(content)
                tars[split].addfile(member, io.BytesIO(content))


def seconds(source: str, root: Path, workspace: Workspace) -> tuple[float, float, float, float]:
    """Opening the source, opening it again, its fingerprint, and all of `embed`."""
    path = root / {"folder": "folder", "webdataset": "tars"}[source]
    recipe = load(source).with_(
        name=source, data={"path": str(path)}, encoder={"name": "pixels", "weights": None, "size": SIDE}
    )
    marks = [time.perf_counter()]
    open_source(recipe.data)
    marks.append(time.perf_counter())
    opened = open_source(recipe.data)
    marks.append(time.perf_counter())
    assert opened.fingerprint
    marks.append(time.perf_counter())
    embed.run(recipe, workspace)
    marks.append(time.perf_counter())
    first, second, fingerprint, embedded = np.diff(marks).tolist()
    return first, second, fingerprint, embedded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--per-tar", type=int, default=10_000)
    parser.add_argument("--place", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    progress.silence()
    print(f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}", flush=True)
    with tempfile.TemporaryDirectory(dir=arguments.place) as folder:
        root = Path(folder)
        os.environ["XDG_CACHE_HOME"] = str(root / "cache")
        write(root, arguments.images, arguments.per_tar)
        time.sleep(3)  # a tar written a moment ago may change again: its headers are not remembered
        workspace = Workspace(root / "data", root / "reports")
        print(f"{arguments.images:,} images; seconds to open, to open again, for the fingerprint, for `dkvb embed`")
        for source in ("folder", "webdataset"):
            print(f"{source:12}" + "".join(f"{value:10.2f}" for value in seconds(source, root, workspace)), flush=True)


if __name__ == "__main__":
    main()
