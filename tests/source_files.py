"""Image trees, archives and listings as users keep them, for the tests of the sources."""

from __future__ import annotations

import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dkvb.errors import DkvbError
from dkvb.recipe import Data
from dkvb.sources.opening import open_source


def save(path: Path, shade: int = 0, size: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), (shade, 0, 0)).save(path)
    return path


def folder(path, **options):
    return open_source(Data(source="folder", path=None if path is None else str(path), **options))


def refused(kind, match, source, path, **options):
    with pytest.raises(DkvbError, match=match) as caught:
        open_source(Data(source=source, path=None if path is None else str(path), **options))
    assert type(caught.value) is kind
    return str(caught.value)


RAMP = np.linspace(0, 65535, 16).astype(np.uint16).reshape(4, 4)


def imagenet(root: Path) -> Path:
    for wnid in ("n03126707", "n02012849", "n01440764"):
        save(root / "train" / wnid / f"{wnid}_1.JPEG")
        save(root / "val" / wnid / "ILSVRC2012_val_1.JPEG")
    return root


def settle(root: Path) -> None:
    """Date every directory back, so that listings of it are kept."""
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        os.utime(folder, (1e9, 1e9))


def faces(tree: Path, counts, start: int = 1) -> Path:
    """Identity folders n000001, … with so many files each; the content of each file is its own."""
    for number, count in enumerate(counts, start):
        folder = tree / f"n{number:06d}"
        folder.mkdir(parents=True)
        for i in range(count):
            (folder / f"{i:04d}_01.jpg").write_bytes(b"%d %d" % (number, i))
    return tree


def cifar10(root: Path, protocol: int = 2) -> Path:
    """Tiny batches in the official layout: image i of every batch is of class i."""
    base = root / "cifar-10-batches-py"
    base.mkdir(parents=True)
    for b, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        data = np.zeros((10, 3072), np.uint8)
        data[:, 0], data[:, 1], data[:, 1024], data[:, 2048] = np.arange(10), b, 7, 9
        (base / name).write_bytes(pickle.dumps({b"data": data, b"labels": list(range(10))}, protocol))
    (base / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"c%d" % i for i in range(10)]}, protocol))
    return base


def packed(base: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(base, arcname=base.name)
    return archive


def plant(root: Path, *paths: str) -> Path:
    """An image for each path; braces stand for several: "train/{cat,dog}/{0,1}.png". Other endings get a few letters,
    and a path that ends in a slash is an empty folder."""
    for path in (one for several in paths for one in _expanded(several)):
        if path.endswith("/"):
            (root / path).mkdir(parents=True, exist_ok=True)
        elif path.endswith((".png", ".jpg")):
            save(root / path, sum(path.encode()) % 251)
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("words")
    return root


def _expanded(path: str) -> list[str]:
    before, brace, rest = path.partition("{")
    if not brace:
        return [path]
    inside, _, after = rest.partition("}")
    return [before + one + more for one in inside.split(",") for more in _expanded(after)]


def photo(path: Path, orientation: int, shade: int = 0) -> Path:
    """A picture, 8 wide and 4 high, brightest in its first corner, with an EXIF orientation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((4, 8, 3), shade, np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    quality = {"lossless": True} if path.suffix == ".webp" else {"quality": 100, "subsampling": 0}
    Image.fromarray(pixels).save(path, exif=exif, **quality)
    return path
