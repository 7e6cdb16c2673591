"""Embedding one shard: 8192 rows of a split, read, encoded, written and marked done as a whole.

Parallel writes inside one shard would lose data, so that one task is always one whole shard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr

from dkvb.encoders.base import FrozenEncoder, stack
from dkvb.encoders.batches import encode_rows
from dkvb.encoders.networks import load_encoder
from dkvb.encoders.pixels import PixelEncoder
from dkvb.errors import DkvbError
from dkvb.recipe import Data, Encoder
from dkvb.records.embed import EmbedResult
from dkvb.sources.base import FeatureSource, ImageSource, UnreadableImage
from dkvb.sources.contents import content_hash
from dkvb.sources.images import was_turned
from dkvb.sources.opening import open_source
from dkvb.workspace import arrays
from dkvb.workspace.finished import Artifact
from dkvb.workspace.names import KEPT, STORED_SPLITS

ARRAYS = ("features", "labels", "ids", "hashes")
"""Arrays of each split."""


Source = ImageSource | FeatureSource


@dataclass(frozen=True)
class Job:
    """What a process needs to embed shards of one artifact."""

    path: Path
    data: Data
    encoder: Encoder
    device: str
    on_bad: Literal["fail", "skip"] = "fail"

    @cached_property
    def opened(self) -> tuple[Source, FrozenEncoder | None]:
        """Source and encoder, where a process has not been given them."""
        source = open_source(self.data)
        encoder = load_encoder(self.encoder, self.device, source.mode) if isinstance(source, ImageSource) else None
        feature_width(source, encoder)  # the first image of the data set, not of a shard, sets the size for `pixels`
        return source, encoder


@dataclass(frozen=True)
class Shard:
    split: str
    index: int

    @property
    def name(self) -> str:
        return f"{self.split}-{self.index:05d}"

    @property
    def rows(self) -> slice:
        """Rows of the stored arrays."""
        return slice(self.index * arrays.SHARD, (self.index + 1) * arrays.SHARD)


def shards_of(lengths: dict[str, int]) -> list[Shard]:
    """All shards of splits of these lengths, in order."""
    return [Shard(split, i) for split in STORED_SPLITS for i in range(-(-lengths[split] // arrays.SHARD))]


def source_rows(path: Path, split: str, length: int) -> np.ndarray:
    """The source's row for each stored row of a split."""
    kept = path / split / KEPT
    return np.load(kept) if kept.is_file() else np.arange(length)


def feature_width(source: Source, encoder: FrozenEncoder | None) -> int:
    """D: for images, that of the first one that can be read.

    Raises:
        DkvbError: none can be read.
    """
    if isinstance(source, FeatureSource) or encoder is None:
        return int(source.dim) if isinstance(source, FeatureSource) else 0
    split = source.splits["train"]
    for row in range(len(split.labels)):
        try:
            image = split.read(row)
            if isinstance(encoder, PixelEncoder):
                return encoder.pixels(image).size
            return int(encoder.encode(stack([encoder.preprocess(image)])).shape[1])
        except UnreadableImage:
            continue
    raise DkvbError("None of the training images can be read; are they images at all?")


def create_arrays(path: Path, source: Source, width: int) -> None:
    """Empty arrays, where an interrupted run has not made them yet."""
    for split in STORED_SPLITS:
        create_split(path, split, len(source.splits[split].labels), width, list(source.classes))


def create_split(path: Path, split: str, rows: int, width: int, classes: list[str]) -> None:
    """Empty arrays of one split below `path`."""
    arrays.create(path, f"{split}/features", (rows, width), np.float32, (arrays.CHUNK, width), (arrays.SHARD, width))
    arrays.create(path, f"{split}/labels", (rows,), np.int64, (arrays.SHARD,))
    arrays.create(path, f"{split}/ids", (rows,), "string", (arrays.SHARD,), packed=True)
    arrays.create(path, f"{split}/hashes", (rows, 16), np.uint8, (arrays.SHARD, 16))
    zarr.open_group(path / split, mode="r+").attrs["classes"] = classes


def embed_shard(
    job: Job,
    shard: Shard,
    source: Source,
    encoder: FrozenEncoder | None,
    advance: Callable[[int], None] = lambda rows: None,
) -> list[str]:
    """Embed and write one shard.

    With `on_bad = "fail"`, a shard with an unreadable image is not marked done; with "skip" it is, its mark naming
    them.

    Returns:
        What is wrong with each unreadable image.
    """
    split: Any = source.splits[shard.split]
    rows = source_rows(job.path, shard.split, len(split.labels))[shard.rows]
    bad: list[tuple[int, str]] = []
    turned: list[int] = []
    hashes = np.zeros((len(rows), 16), np.uint8)
    if isinstance(source, FeatureSource) or encoder is None:
        features = np.asarray(split.features[rows], np.float32)
        hashes[:] = [np.frombuffer(content_hash(row), np.uint8) for row in features]
        advance(len(rows))
    else:
        place = {int(row): i for i, row in enumerate(rows)}

        def note_content(row: int, image: Any) -> None:
            hashes[place[row]] = np.frombuffer(content_hash(image), np.uint8)
            if was_turned(image):
                turned.append(row)

        encoded = encode_rows(split, rows, encoder, job.encoder.batch_size, advance, note_content)
        bad = list(encoded.bad)
        features = np.zeros((len(rows), encoded.features.shape[1]), np.float32)
        features[[place[int(row)] for row in encoded.kept_rows]] = encoded.features
    messages = [message for _, message in bad]
    if bad and job.on_bad == "fail":
        return messages
    store: Any = zarr.open_group(job.path / shard.split, mode="r+")
    part = slice(shard.rows.start, shard.rows.start + len(rows))
    if bad and len(bad) == len(rows):
        features = np.zeros((len(rows), store["features"].shape[1]), np.float32)
    store["features"][part] = features
    store["labels"][part] = np.asarray(split.labels)[rows]
    store["ids"][part] = np.array([split.ids[row] for row in rows], dtype=object)
    store["hashes"][part] = hashes
    mark = {"rows": len(rows), "bad": [[int(row), message] for row, message in bad]}
    arrays.Marks(job.path).set(shard.name, mark | ({"turned": len(turned)} if job.data.exif_rotate else {}))
    return messages


def turned_upright(path: Path, shards: list[Shard]) -> int:
    """Images that were turned as their EXIF orientation says, from the marks of all shards."""
    marks = arrays.Marks(path)
    return sum((marks.get(shard.name) or {}).get("turned", 0) for shard in shards)


def remote_shard(job: Job, shard: Shard) -> tuple[int, list[str]]:
    """`embed_shard` in a worker process, which opens source and encoder once; returns the rows done and what is bad."""
    bad = embed_shard(job, shard, *job.opened)
    return (arrays.Marks(job.path).get(shard.name) or {"rows": 0})["rows"], bad


def units(artifact: Artifact) -> dict[str, list[tuple[str, Any, str]]]:
    """Array, rows and chunk file of everything that each shard of an artifact wrote."""
    result = artifact.result_as(EmbedResult)
    chunks = {"features": "c/{}/0", "labels": "c/{}", "ids": "c/{}", "hashes": "c/{}/0"}
    return {
        shard.name: [
            (f"{shard.split}/{name}", shard.rows, f"{shard.split}/{name}/{file.format(shard.index)}")
            for name, file in chunks.items()
        ]
        for shard in shards_of({"train": result.train, "test": result.test})
    }
