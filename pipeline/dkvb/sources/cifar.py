"""CIFAR-10 and CIFAR-100: the official python archives, extracted or not, downloaded where they are missing."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from dkvb.errors import DkvbError, NotHere, UsageError, some
from dkvb.recipe import Data
from dkvb.runtime import progress
from dkvb.runtime.cache import cache_folder
from dkvb.sources.base import ImageSource, ImageSplit, digest
from dkvb.sources.checks import check_classes
from dkvb.sources.download import allowed, download
from dkvb.sources.images import ArrayImages, indices
from dkvb.sources.pickles import load_arrays
from dkvb.sources.text import decoded

SIDE = 32

ARCHIVES = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}
"""Source -> its official archive."""

HOST = "https://www.cs.toronto.edu/~kriz/"
"""Where they are downloaded from."""


def missing_from(data: Data) -> Path | None:
    """The folder that would have to hold the archive and does not; None where there is an archive, or its files,
    whatever they are worth. Needs no deep-learning library, unlike opening them."""
    place = Path(data.path).expanduser() if data.path else cache_folder(data.source)
    names = ("batches.meta", "meta", "data_batch_1", "train")
    folders = (place, place / "cifar-10-batches-py", place / "cifar-100-python")
    there = place.is_file() or (place / ARCHIVES[data.source]).is_file()
    return None if there or any((folder / name).is_file() for folder in folders for name in names) else place


def open_cifar(data: Data) -> ImageSource:
    """Both splits in the official order; CIFAR-100 by its fine labels. Batches are never unpickled without restriction.

    Raises:
        UsageError: `data.path` is a file that is no archive.
        DkvbError: the download failed, or a batch is missing, truncated or not a batch.
    """
    from torchvision.datasets import CIFAR10, CIFAR100

    official = CIFAR10 if data.source == "cifar10" else CIFAR100
    lists = {"train": official.train_list, "test": official.test_list}
    md5s = {name: md5 for listed in lists.values() for name, md5 in listed} | {
        official.meta["filename"]: official.meta["md5"]
    }
    place = _find(data, official)
    contents = _read(place, official.base_folder, list(md5s))
    meta = _load(contents[official.meta["filename"]], place, official.meta["filename"], official.meta["key"])
    meta_file = f"{official.meta['filename']} in {place}"
    classes = [
        decoded(name if isinstance(name, bytes) else str(name), meta_file)
        for name in _names(meta[official.meta["key"]], meta_file)
    ]
    splits = {}
    for split, listed in lists.items():
        batches = [_batch(contents[name], place, name, len(classes)) for name, _ in listed]
        pixels = np.concatenate([pixels for pixels, _ in batches]).reshape(-1, 3, SIDE, SIDE)
        labels = np.concatenate([labels for _, labels in batches])
        splits[split] = ImageSplit(indices(len(labels)), labels, ArrayImages(pixels.transpose(0, 2, 3, 1)))
    notes: list[str] = []
    doubts: list[str] = []
    other = [
        name for name, md5 in md5s.items() if hashlib.md5(contents[name], usedforsecurity=False).hexdigest() != md5
    ]
    if other:
        files = "file's" if len(other) == 1 else "files'"
        notes.append(
            f"md5 of {some(other, len(other))} differs from the official {files}: read with a restricted reader"
        )
    check_classes(classes, {name: split.labels for name, split in splits.items()}, place, notes, doubts)
    return ImageSource(classes, lambda: _hash(classes, splits), notes, splits, doubts=doubts)


def _names(listed: Any, where: str) -> list[Any]:
    if not isinstance(listed, list | tuple):
        raise DkvbError(f"{where} is damaged: its names are no list; unpack the official archive again.")
    return list(listed)


def _hash(classes: list[str], splits: dict[str, ImageSplit]) -> str:
    arrays = [array for split in splits.values() for array in (split.read.pixels, split.labels)]  # type: ignore[attr-defined]
    return digest([*classes, *(array.tobytes() for array in arrays)])


def _find(data: Data, official: Any) -> Path:
    """The folder of batches or the archive that `data.path` means; downloads the archive where there is neither."""
    if data.path is None:
        root = cache_folder(data.source)
    else:
        root = Path(data.path).expanduser()
        fix = f"give {official.filename}, the folder it unpacks to, or a folder that holds either"
        if root.is_file() and not tarfile.is_tarfile(root):
            raise UsageError(f"data.path {root} is not a tar archive or is damaged; {fix}.")
        if root.name.endswith((".tar.gz", ".tgz", ".tar")) and not root.exists():
            raise UsageError(f"data.path {root} does not exist; {fix}.")
    if root.is_file():
        return root
    for folder in (root, root / official.base_folder):
        if (folder / official.meta["filename"]).is_file() or (folder / official.train_list[0][0]).is_file():
            return folder
    archive = root / official.filename
    if not archive.is_file():
        if allowed():
            progress.note(
                f"{official.filename} is not in {root}: downloading it; a copy you have elsewhere is read with"
                " --data-root"
            )
        try:
            download(official.url, archive, official.tgz_md5)
        except OSError as error:
            raise NotHere(
                f"{official.filename} is not in {root} and its download failed ({error}). Run again to continue it; or"
                f" fetch the file (md5 {official.tgz_md5}) elsewhere and put it in {root}, or pass --data-root with the"
                " folder that holds it."
            ) from None
    return archive


def _read(place: Path, base_folder: str, names: list[str]) -> dict[str, bytes]:
    """Each batch's bytes; an archive is read in memory, so nothing in it is ever written to disk."""
    found: dict[str, bytes] = {}
    try:
        if place.is_dir():
            found = {name: (place / name).read_bytes() for name in names if (place / name).is_file()}
        else:
            wanted = {f"{base_folder}/{name}": name for name in names}
            with tarfile.open(place) as archive:
                for member in archive:
                    name = wanted.get(member.name.removeprefix("./"))
                    if name and (file := archive.extractfile(member)):
                        found[name] = file.read()
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise DkvbError(
            f"{place} cannot be read ({error}); it may be truncated: delete it and run again, or copy it again."
        ) from None
    if missing := [name for name in names if name not in found]:
        raise DkvbError(f"{place} lacks {some(missing)}; unpack the official archive again.")
    return found


def _load(content: bytes, place: Path, name: str, *keys: str) -> dict[str, Any]:
    try:
        entry = load_arrays(content)
        loaded = {
            key.decode(errors="replace") if isinstance(key, bytes) else key: value for key, value in entry.items()
        }
        return {key: loaded[key] for key in keys if key in loaded or key == keys[0]}
    except (ValueError, AttributeError, KeyError) as error:
        reason = f"it has no entry {error}" if isinstance(error, KeyError) else error
        raise DkvbError(
            f"{name} in {place} is not a CIFAR batch or is damaged ({reason}); unpack the official archive again."
        ) from None


def _batch(content: bytes, place: Path, name: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3072) uint8 and (n,) int64 of one batch."""
    entry = _load(content, place, name, "data", "fine_labels", "labels")
    pixels, labels = entry["data"], np.asarray(entry.get("fine_labels", entry.get("labels", [])))
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.ndim != 2
        or pixels.shape[1] != 3 * SIDE * SIDE
    ):
        raise DkvbError(
            f"{name} in {place} is damaged: its data are not uint8 of shape (n, 3072); unpack the official archive"
            " again."
        )
    if labels.shape != (len(pixels),) or labels.dtype.kind not in "iu" or ((labels < 0) | (labels >= classes)).any():
        raise DkvbError(
            f"{name} in {place} is damaged: it needs a label from 0 to {classes - 1} for each of its {len(pixels)}"
            " images."
        )
    return pixels, labels.astype(np.int64)
