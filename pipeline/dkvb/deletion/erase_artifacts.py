"""The erasing steps of a purge, artifact by artifact. Every step may be repeated, so that a purge that was killed is
ended by erasing again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars

from dkvb.bottleneck.mask_order import selection_counts_by_class
from dkvb.deletion import erase as files
from dkvb.deletion.deleted import Deleted
from dkvb.deletion.erase_pictures import erase_pictures
from dkvb.deletion.reach import Reach
from dkvb.embedding import leaks
from dkvb.records.embed import EmbedResult
from dkvb.records.purges import Erased
from dkvb.workspace import arrays, shredding
from dkvb.workspace.files import leftover
from dkvb.workspace.finished import Artifact
from dkvb.workspace.names import CONVERGED, COUNTS, FILES, LINEAR, STORED_SPLITS, VALUES
from dkvb.workspace.requests import Request
from dkvb.workspace.rows import stored_labels, stored_train_rows, train_rows
from dkvb.workspace.settings import BottleneckSettings, QuantizeSettings

NO_BIAS = np.float32(-1e30)
"""Bias of a purged class in a linear head: finite, so that losses stay numbers."""


def erase(reach: Reach, deleted: Deleted, staging: Path, exact: Mapping[str, Path] | None = None) -> Erased:
    """Erase all that a purge reaches.

    Args:
        deleted: what is deleted as a whole.
        staging: a folder for files that are to take the place of others.
        exact: bottleneck (its fingerprint) -> the file of values that takes the place of its own.
    """
    if staging.exists():
        shredding.shred_folder(staging)
    steps = _Steps(reach, staging, exact or {})
    for folder in deleted.folders:
        shredding.shred_folder(folder)
    steps.drop_leftovers()
    steps.forget_examples()
    erase_pictures(reach)
    values = {reach.model_of(request).path.name: steps.erase_values(request) for request in reach.together}
    for model in reach.covered:
        steps.erase_counts(model)
    for head in reach.heads:
        steps.drop_from_head(head)
    for codes in reach.quantized:
        steps.zero_codes(codes)
    steps.zero_features()
    if staging.exists():
        shutil.rmtree(staging)
    return Erased(
        # sorted: the order in which they are found depends on when they were last written
        values=dict(sorted(values.items())),
        codes=sorted(codes.path.name for codes in reach.quantized),
        heads=sorted(head.path.name for head in reach.heads),
        artifacts=deleted.others,
    )


class _Steps:
    """What is done to one artifact after another."""

    def __init__(self, reach: Reach, staging: Path, exact: Mapping[str, Path]) -> None:
        self.reach, self.staging, self.exact = reach, staging, exact
        self.classes = list(reach.classes)
        self.rows = {split: reach.rows(split) for split in STORED_SPLITS}
        self.told: dict[str, Any] = {}
        """What the features' manifest says of shared contents, where it named samples that go."""

    def drop_leftovers(self) -> None:
        """Shred files that a process was writing when it was killed."""
        reach = self.reach
        for artifact in (reach.features, *reach.quantized, *reach.heads, *reach.covered):
            for path in sorted(artifact.path.rglob("*")):
                if path.is_file() and leftover(path):
                    shredding.shred(path)

    def forget_examples(self) -> None:
        """Take samples that go out of the examples of shared contents that the features' manifest holds, while their
        ids are there."""
        features = self.reach.features
        gone = {
            str(one)
            for split in STORED_SPLITS
            for one in arrays.plain(features.path, f"{split}/ids")[self.rows[split]].tolist()
        }
        told = features.result_as(EmbedResult).leaks
        examples = {
            kind: [pair for pair in pairs if not any(name in gone or name.rpartition(" (")[0] in gone for name in pair)]
            for kind, pairs in told.examples.items()
        }
        kept = told.model_copy(update={"examples": {kind: pairs for kind, pairs in examples.items() if pairs}})
        if kept != told:
            words = leaks.describe(kept) if kept.any else None
            self.told = {"leaks": kept.model_dump(mode="json"), "leaks_in_words": words}
            features.reseal(**self.told)

    def erase_values(self, request: Request) -> int:
        """Zero the values of the pairs that a request masks; how many pairs. Or put values that were trained without it
        in the place of all; no pairs then."""
        if file := self.exact.get(request.train):
            self.staging.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, self.staging / VALUES)
            shredding.replace(self.reach.model_of(request).path / VALUES, self.staging / VALUES)
            return 0
        mask = request.mask()

        def zero(tensors: dict[str, np.ndarray]) -> None:
            tensors["values"][mask] = 0

        files.rewrite_tensors(self.reach.model_of(request).path / VALUES, zero, self.staging)
        return int(mask.sum())

    def erase_counts(self, model: Artifact) -> None:
        """Take what is purged out of the counts of a bottleneck."""
        if model.fingerprint in self.exact or self.reach.request.record.samples:
            files.rewrite_array(model.path, COUNTS, self._counted_again(model), self.staging)
            self._reseal(model)
        else:
            self.zero_counts(model)

    def _counted_again(self, model: Artifact) -> np.ndarray:
        """(L, C, M) uint32: the counts of the training samples that stay, from their codes."""
        counts = arrays.read(model, COUNTS)
        codes = next(codes for codes in self.reach.quantized if codes.fingerprint == model.inputs["quantize"])
        made = codes.settings_as(QuantizeSettings)
        rows = np.setdiff1d(train_rows(self.reach.features, made.validation, made.seed)[0], self.rows["train"])
        selected = arrays.read(codes, "train/codes")[rows].transpose(1, 0, 2)
        labels = stored_labels(self.reach.features, "train")[rows]
        return selection_counts_by_class(selected, labels, counts.shape[0], counts.shape[2]).astype(counts.dtype)

    def zero_counts(self, model: Artifact) -> None:
        """Zero the counts of the classes in a bottleneck.

        Where it passes over pairs that training never selected, those that only these classes selected keep a count of
        one: else they would be passed over from now on, and predictions on retained samples could change.
        """
        counts = arrays.read(model, COUNTS)
        others = np.delete(counts, self.classes, axis=0).sum(0)
        only_these = (counts[self.classes].sum(0) > 0) & (others == 0)
        counts[self.classes] = 0
        if model.settings_as(BottleneckSettings).unused == "mask":
            counts[self.classes[0]][only_these] = 1
        files.rewrite_array(model.path, COUNTS, counts, self.staging)
        self._reseal(model)

    def drop_from_head(self, head: Artifact) -> None:
        """Take the rows of the classes out of a linear head, so that it never predicts them."""

        def drop(tensors: dict[str, np.ndarray]) -> None:
            tensors["weight"][self.classes] = 0
            tensors["bias"][self.classes] = NO_BIAS

        for name in (LINEAR, CONVERGED):
            if (head.path / name).is_file():
                files.rewrite_tensors(head.path / name, drop, self.staging)
        self._reseal(head)

    def zero_codes(self, codes: Artifact) -> None:
        """Zero the rows of the classes in codes and neighbour lists."""
        for split in STORED_SPLITS:
            self._zero_rows(codes, f"{split}/codes", self.rows[split])
        self._zero_rows(codes, "test/neighbours", self.rows["test"])
        self._zero_rows(codes, "validation/neighbours", self._validation_places(codes))
        self._reseal(codes)

    def _validation_places(self, codes: Artifact) -> np.ndarray:
        """Where the rows of the classes stand in the neighbour lists of the validation rows."""
        features, name = self.reach.features, "validation/neighbours"
        if not (codes.path / name).is_dir():
            return np.empty(0, np.int64)
        made = codes.settings_as(QuantizeSettings)
        listed = stored_train_rows(features, made.validation, made.seed)[1]
        if arrays.opened(codes, name).shape[0] != len(listed):
            # lists made after an earlier purge have no places for the rows that were purged then
            there = stored_labels(features, "train")[listed] >= 0
            listed = listed[there | np.isin(listed, self.rows["train"])]
        return np.flatnonzero(np.isin(listed, self.rows["train"]))

    def zero_features(self) -> None:
        """Zero the rows of the classes in the features; their labels become -1 - c."""
        features = self.reach.features
        listing = features.path / FILES
        if listing.is_file():
            self.staging.mkdir(parents=True, exist_ok=True)
            staying = ~polars.col("label").is_in(self.classes)
            if self.reach.request.record.samples:
                gone = arrays.plain(features.path, "train/ids")[self.rows["train"]].tolist()
                staying = ~((polars.col("split") == "train") & polars.col("id").is_in([str(one) for one in gone]))
            polars.read_parquet(listing).filter(staying).write_parquet(self.staging / FILES)
            shredding.replace(listing, self.staging / FILES)
        for split in STORED_SPLITS:
            for name in ("features", "ids", "hashes"):
                self._zero_rows(features, f"{split}/{name}", self.rows[split])
            self._rewrite(features, f"{split}/labels", partial(self._purged_labels, split))
        self._reseal(features, **self.told)

    def _purged_labels(self, split: str, labels: np.ndarray) -> np.ndarray:
        gone = np.isin(np.arange(len(labels)), self.rows[split]) & (labels >= 0)
        return np.where(gone, -1 - labels, labels)

    def _zero_rows(self, artifact: Artifact, name: str, rows: np.ndarray) -> None:
        """Zero, or empty, some rows of an array, where the artifact has it."""

        def zero(values: np.ndarray) -> np.ndarray:
            values[rows] = "" if values.dtype.kind in "TUO" else 0
            return values

        if (artifact.path / name).is_dir():
            self._rewrite(artifact, name, zero)

    def _rewrite(self, artifact: Artifact, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
        values = change(arrays.plain(artifact.path, name).copy())
        files.rewrite_array(artifact.path, name, values, self.staging)

    def _reseal(self, artifact: Artifact, **told: Any) -> None:
        """Shred checkpoints, which hold what was erased, and say in the manifest which classes are purged."""
        for checkpoint in sorted(artifact.path.glob("*checkpoint*")):
            shredding.shred(checkpoint)
        if self.reach.request.record.samples:
            there = stored_labels(self.reach.features, "train")
            purged = np.bincount(-1 - there[there < 0], minlength=1)
            single = purged.sum() - sum(purged[c] for c in artifact.purged if c < len(purged))
            also = int((there[self.rows["train"]] >= 0).sum())  # features are the last that is erased
            artifact.reseal(**told, purged_samples=int(single) + also)
        else:
            artifact.reseal(**told, purged=sorted({*artifact.purged, *self.classes}))
