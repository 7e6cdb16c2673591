"""Listing millions of images below class folders: in threads, with progress, and remembered from one opening to the
next.

A listing is kept in `$XDG_CACHE_HOME/dkvb/listings` (else `~/.cache`), one file a folder, with the inode and
modification time of every directory that was read. Adding, removing or renaming a file changes its directory's time, so
a class is read again only where one of its directories changed: a second opening of ImageNet-1k costs one `stat` for
each of 1,000 folders instead of 1.28 million entries.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dkvb.runtime import progress
from dkvb.runtime.cache import cache_folder
from dkvb.runtime.parallel import in_order
from dkvb.sources.images import EXTENSIONS, walk_images
from dkvb.workspace.files import atomic

FORMAT = 1


THREADS = 16
"""More than there are cores: on network file systems a listing waits, and does not compute."""


SETTLED = 2.0
"""Seconds: a directory changed this recently may change again without its time changing, so its listing is not kept."""


def list_classes(folder: Path, classes: list[str]) -> list[list[str]]:
    """For each class folder of `folder`, the sorted relative posix paths of its images at any depth.

    Raises:
        UsageError: a file name is not valid Unicode.
    """
    kept = _load(folder)
    found: dict[str, dict[str, Any]] = {
        name: kept[name] for name in classes if name in kept and _unchanged(folder / name, kept[name])
    }
    left = [name for name in classes if name not in found]
    if left:
        with watched(f"list {folder.name or folder}", len(left), "class folders", many=100) as task:
            images = 0
            with ThreadPoolExecutor(THREADS) as pool:
                for name, listed in zip(
                    left, in_order(pool, _read, (folder / name for name in left), ahead=2 * THREADS), strict=True
                ):
                    found[name] = listed
                    images += len(listed["images"])
                    if task:
                        task.advance(1, f"{images:,} images")
        _save(folder, found)
    return [found[name]["images"] for name in classes]


@contextmanager
def watched(label: str, total: int, unit: str, many: int) -> Iterator[progress.Task | None]:
    """Progress for `many` units or more, silence for fewer."""
    if total < many:
        yield None
    else:
        with progress.task(label, total, unit) as task:
            yield task


def _read(folder: Path) -> dict[str, Any]:
    before = time.time()
    images, directories = walk_images(folder)
    newest = max(changed for _, changed in directories.values()) / 1e9
    return {"images": images, "directories": directories, "settled": newest < before - SETTLED}


def _unchanged(folder: Path, listed: dict[str, Any]) -> bool:
    try:
        for name, (inode, changed) in listed["directories"].items():
            status = os.stat(folder / name)
            if (status.st_ino, status.st_mtime_ns) != (inode, changed):
                return False
    except OSError:
        return False
    return True


def _place(folder: Path) -> Path:
    return cache_folder("listings", hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:32] + ".json")


def _load(folder: Path) -> dict[str, dict[str, Any]]:
    """What is remembered of a folder; nothing where the cache is missing, damaged or of another format."""
    try:
        kept = json.loads(_place(folder).read_text(encoding="utf-8"))
        fits = (kept["format"], kept["folder"], kept["extensions"]) == (
            FORMAT,
            str(folder.absolute()),
            sorted(EXTENSIONS),
        )
        return kept["classes"] if fits else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _save(folder: Path, found: dict[str, dict[str, Any]]) -> None:
    classes = {name: listed for name, listed in found.items() if listed["settled"]}
    if not classes:
        return
    kept = {"format": FORMAT, "folder": str(folder.absolute()), "extensions": sorted(EXTENSIONS), "classes": classes}
    try:
        with atomic(_place(folder)) as temporary:
            temporary.write_text(json.dumps(kept, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    except (OSError, ValueError):
        return  # a cache that cannot be written, or a folder name outside Unicode, only costs time
