"""Stage 1: run the frozen encoder once over every image and keep the features (paper, section 5.1; no augmentation).

Writes, for `train` and `test`, zarr v3 arrays `features` (N, D) float32, `labels` (N,) int64 and `ids` (N,); the class names are attributes
of each split's group. One task is one whole shard of 8192 rows; finished shards are never done again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from dkvb import progress, stores
from dkvb.artifacts import embed_spec
from dkvb.device import choose_device
from dkvb.encoders import FrozenEncoder, load_encoder, stack, weights_fingerprint
from dkvb.errors import DkvbError
from dkvb.parallel import cores, in_order, spread
from dkvb.recipe import Data, Encoder, Recipe
from dkvb.sources import FeatureSource, ImageSource, UnreadableImage, open_source
from dkvb.workspace import Artifact, Workspace

SPLITS = ("train", "test")
SHOWN = 10


@dataclass(frozen=True)
class Job:
    """What a process needs to embed shards of one artifact."""

    path: Path
    data: Data
    encoder: Encoder
    device: str


@dataclass(frozen=True)
class Shard:
    split: str
    index: int

    @property
    def name(self) -> str:
        return f"{self.split}-{self.index:05d}"


def run(recipe: Recipe, workspace: Workspace, force: bool = False) -> list[dict[str, Any]]:
    """Embed the recipe's data set, or find that it has been done.

    Raises:
        UsageError: data or encoder that cannot be used as asked.
        DkvbError: data that cannot be learned from, weights that cannot be had, images that cannot be read.
    """
    source = open_source(recipe.data)
    inputs = {"source": source.fingerprint}
    if isinstance(source, ImageSource):
        inputs["weights"] = weights_fingerprint(recipe.encoder)
    spec = embed_spec(recipe, inputs)
    label = f"embed {recipe.name}"
    for text in source.notes:
        progress.note(f"{label}: {text}")
    with workspace.claim(spec, force) as claim:
        marks = stores.Marks(claim.path)
        if claim.artifact and not stores.heal(claim.artifact, marks, _units(claim.artifact), label):
            progress.note(f"{label}: already done ({claim.artifact.path.name})")
            return [_entry(claim.artifact, skipped=True)]
        device, reason = choose_device(recipe.run.device) if isinstance(source, ImageSource) else ("cpu", "no encoder to run")
        job = Job(claim.path, recipe.data, recipe.encoder, device)
        if isinstance(source, ImageSource):
            progress.note(f"{label}: {recipe.encoder.name} on {device} ({reason})")
        encoder = load_encoder(recipe.encoder, device, source.mode) if isinstance(source, ImageSource) else None
        dim = _width(source, encoder)
        _prepare(job, source, dim)
        lengths = {split: len(source.splits[split].labels) for split in SPLITS}
        shards = [Shard(split, i) for split in SPLITS for i in range(-(-lengths[split] // stores.SHARD))]
        left = [shard for shard in shards if marks.get(shard.name) is None]
        bad: list[str] = []
        with progress.task(label, sum(lengths.values()), "images" if isinstance(source, ImageSource) else "rows") as task:
            task.advance(sum((marks.get(shard.name) or {"rows": 0})["rows"] for shard in shards))
            if recipe.run.workers == 1:
                for shard in left:
                    bad += embed_shard(job.path, shard, source, encoder, recipe.encoder.batch_size, task.advance)
            else:
                for rows, found in spread(_remote_shard, left, recipe.run.workers, job):
                    bad += found
                    task.advance(rows)
        if bad:
            shown = "; ".join(bad[:SHOWN]) + (f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else "")
            raise DkvbError(
                f"{len(bad)} of {sum(lengths.values())} images cannot be read: {shown}. Repair or remove them, then "
                f"run `dkvb embed` again: what has been embedded is kept."
            )
        result: dict[str, Any] = {"source": recipe.data.source, "encoder": _encoder_name(recipe), "dim": dim, **lengths}
        result |= {"mode": source.mode if isinstance(source, ImageSource) else None, "classes": list(source.classes)}
        return [_entry(claim.finish(result), skipped=False)]


def _prepare(job: Job, source: ImageSource | FeatureSource, dim: int) -> None:
    """Empty arrays, where an interrupted run has not made them yet."""
    for split in SPLITS:
        rows = len(source.splits[split].labels)
        stores.create(job.path, f"{split}/features", (rows, dim), np.float32, (stores.CHUNK, dim), (stores.SHARD, dim))
        stores.create(job.path, f"{split}/labels", (rows,), np.int64, (stores.SHARD,))
        stores.create(job.path, f"{split}/ids", (rows,), "string", (stores.SHARD,), packed=True)
        zarr.open_group(job.path / split, mode="r+").attrs["classes"] = list(source.classes)


def _width(source: ImageSource | FeatureSource, encoder: FrozenEncoder | None) -> int:
    """D: for images, that of the first one that can be read."""
    if isinstance(source, FeatureSource) or encoder is None:
        return int(source.dim) if isinstance(source, FeatureSource) else 0
    split = source.splits["train"]
    for row in range(len(split.labels)):
        try:
            return int(encoder.encode(stack([encoder.preprocess(split.read(row))])).shape[1])
        except UnreadableImage:
            continue
    raise DkvbError("None of the training images can be read; are they images at all?")


def embed_shard(
    path: Path,
    shard: Shard,
    source: ImageSource | FeatureSource,
    encoder: FrozenEncoder | None,
    batch_size: int,
    advance: Callable[[int], None] = lambda rows: None,
) -> list[str]:
    """Embed and write one shard; it is marked done only if every image in it could be read.

    Returns:
        What is wrong with each unreadable image.
    """
    split: Any = source.splits[shard.split]
    rows = range(shard.index * stores.SHARD, min((shard.index + 1) * stores.SHARD, len(split.labels)))
    bad: list[str] = []
    if isinstance(source, FeatureSource) or encoder is None:
        features = np.asarray(split.features[rows.start : rows.stop], np.float32)
        advance(len(rows))
    else:
        features, bad = _encode(split, rows, encoder, batch_size, advance)
    if bad:
        return bad
    part = slice(rows.start, rows.stop)
    store: Any = zarr.open_group(path / shard.split, mode="r+")
    store["features"][part] = features
    store["labels"][part] = split.labels[part]
    store["ids"][part] = np.array([split.ids[row] for row in rows], dtype=object)
    stores.Marks(path).set(shard.name, {"rows": len(rows)})
    return []


def _encode(
    split: Any, rows: range, encoder: FrozenEncoder, batch_size: int, advance: Callable[[int], None]
) -> tuple[np.ndarray, list[str]]:
    """Features of some rows; threads read and preprocess the next batches while the encoder works on this one."""
    features: list[np.ndarray] = []
    bad: list[str] = []

    def load(start: int) -> tuple[list[Any], list[str], int]:
        images, failed = [], []
        batch = rows[start : start + batch_size]
        for row in batch:
            try:
                images.append(encoder.preprocess(split.read(row)))
            except UnreadableImage as error:
                failed.append(str(error))
        return images, failed, len(batch)

    with ThreadPoolExecutor(cores()) as pool:
        for images, failed, count in in_order(pool, load, range(0, len(rows), batch_size), ahead=cores()):
            bad += failed
            if images and not bad:
                features.append(encoder.encode(stack(images)).numpy())
            advance(count)
    return (np.concatenate(features) if features else np.empty((0, 0), np.float32)), bad


@lru_cache(maxsize=1)
def _opened(job: Job) -> tuple[ImageSource | FeatureSource, FrozenEncoder | None]:
    source = open_source(job.data)
    encoder = load_encoder(job.encoder, job.device, source.mode) if isinstance(source, ImageSource) else None
    _width(source, encoder)  # the first image of the data set, not of a shard, sets the size for `pixels`
    return source, encoder


def _remote_shard(job: Job, shard: Shard) -> tuple[int, list[str]]:
    """The same in a worker process, which opens source and encoder once."""
    source, encoder = _opened(job)
    bad = embed_shard(job.path, shard, source, encoder, job.encoder.batch_size)
    return (stores.Marks(job.path).get(shard.name) or {"rows": 0})["rows"], bad


def _units(artifact: Artifact) -> dict[str, list[tuple[str, Any, str]]]:
    """Array, rows and chunk file of everything that each shard wrote."""
    units = {}
    for split in SPLITS:
        for index in range(-(-int(artifact.result[split]) // stores.SHARD)):
            rows = slice(index * stores.SHARD, (index + 1) * stores.SHARD)
            files = {"features": f"c/{index}/0", "labels": f"c/{index}", "ids": f"c/{index}"}
            units[Shard(split, index).name] = [(f"{split}/{name}", rows, f"{split}/{name}/{file}") for name, file in files.items()]
    return units


def _encoder_name(recipe: Recipe) -> str | None:
    return None if recipe.data.source == "features" else recipe.encoder.name


def _entry(artifact: Artifact, skipped: bool) -> dict[str, Any]:
    return {**artifact.result, "seconds": artifact.manifest["seconds"], "skipped": skipped, "artifact": str(artifact.path)}
