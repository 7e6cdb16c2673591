"""Listing millions of images below class folders: in threads, with progress, and remembered from one opening to the
next.

A listing is kept in `$XDG_CACHE_HOME/dkvb/listings` (else `~/.cache`), one file a folder, with what was passed over and
with the inode and modification time of every directory that was read. Adding, removing or renaming a file changes its
directory's time, so a class is read again only where one of its directories changed: a second opening of ImageNet-1k
costs one `stat` for each of 1,000 folders instead of 1.28 million entries.
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
from dkvb.sources.formats import endings
from dkvb.sources.remarks import PassedOver
from dkvb.sources.walk import Fences, Tally, Walked, walk
from dkvb.workspace.files import atomic

FORMAT = 2
"""1: without what was passed over."""


THREADS = 16
"""More than there are cores: on network file systems a listing waits, and does not compute."""


SETTLED = 2.0
"""Seconds: a directory changed this recently may change again without its time changing, so its listing is not kept."""


def list_classes(folder: Path, classes: list[str]) -> list[list[str]]:
    """For each class folder of `folder`, the sorted relative posix paths of its images at any depth.

    Raises:
        UsageError: a file name is not valid Unicode.
    """
    real = os.path.realpath(folder)
    fences = Fences(real, frozenset(os.path.realpath(folder / name) for name in classes))
    return [walked.images for walked in walk_classes(folder, classes, fences)]


def walk_classes(folder: Path, classes: list[str], fences: Fences) -> list[Walked]:
    """What is found below each class folder of `folder`.

    Raises:
        UsageError: a file name is not valid Unicode.
    """
    kept, around = _load(folder), _hash(sorted([fences.tree, *fences.owned]))
    found: dict[str, Walked] = {
        name: _restored(kept[name])
        for name in classes
        if name in kept and _unchanged(folder / name, kept[name], around)
    }
    unsettled: set[str] = set()
    left = [name for name in classes if name not in found]
    if left:
        with watched(f"list {folder.name or folder}", len(left), "class folders", many=100) as task:
            images = 0
            with ThreadPoolExecutor(THREADS) as pool:
                paths = (folder / name for name in left)
                walks = in_order(pool, lambda path: _read(path, fences), paths, ahead=2 * THREADS)
                for name, (walked, settled) in zip(left, walks, strict=True):
                    found[name] = walked
                    unsettled |= set() if settled else {name}
                    images += len(walked.images)
                    if task:
                        task.advance(1, f"{images:,} images")
        _save(folder, {name: _kept(of, around) for name, of in found.items() if name not in unsettled})
    return [found[name] for name in classes]


@contextmanager
def watched(label: str, total: int, unit: str, many: int) -> Iterator[progress.Task | None]:
    """Progress for `many` units or more, silence for fewer."""
    if total < many:
        yield None
    else:
        with progress.task(label, total, unit) as task:
            yield task


def _read(folder: Path, fences: Fences) -> tuple[Walked, bool]:
    """What is below a class folder, and whether that may be remembered."""
    before = time.time()
    walked = walk(folder, fences)
    newest = max(changed for _, changed in walked.seen.values()) / 1e9
    return walked, newest < before - SETTLED and not walked.dangling


def _kept(walked: Walked, around: str) -> dict[str, Any]:
    """As it is written: `around`, where other classes are, where that decides what is read."""
    passed = {reason: [of.count, of.example] for reason, of in walked.tally.passed_over.items()}
    return {"images": walked.images, "seen": walked.seen, "passed": passed, "around": around if walked.linked else None}


def _restored(kept: dict[str, Any]) -> Walked:
    passed = {reason: PassedOver(count, example) for reason, (count, example) in kept["passed"].items()}
    return Walked(kept["images"], kept["seen"], Tally(passed), linked=kept["around"] is not None)


def _unchanged(folder: Path, kept: dict[str, Any], around: str) -> bool:
    if kept["around"] not in (None, around):
        return False
    try:
        for name, (inode, changed) in kept["seen"].items():
            status = os.stat(folder / name)
            if (status.st_ino, status.st_mtime_ns) != (inode, changed):
                return False
    except OSError:
        return False
    return True


def _hash(parts: list[str]) -> str:
    return hashlib.sha256(os.fsencode("\0".join(parts))).hexdigest()[:32]


def _place(folder: Path) -> Path:
    return cache_folder("listings", f"{_hash([str(folder.absolute())])}.json")


def _load(folder: Path) -> dict[str, dict[str, Any]]:
    """What is remembered of a folder; nothing where the cache is missing, damaged or of another format."""
    try:
        kept = json.loads(_place(folder).read_text(encoding="utf-8"))
        fits = (kept["format"], kept["folder"], kept["endings"]) == (
            FORMAT,
            str(folder.absolute()),
            sorted(endings()),
        )
        return kept["classes"] if fits else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _save(folder: Path, classes: dict[str, dict[str, Any]]) -> None:
    if not classes:
        return
    kept = {"format": FORMAT, "folder": str(folder.absolute()), "endings": sorted(endings()), "classes": classes}
    try:
        with atomic(_place(folder)) as temporary:
            temporary.write_text(json.dumps(kept, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    except (OSError, ValueError):
        return  # a cache that cannot be written, or a folder name outside Unicode, only costs time
