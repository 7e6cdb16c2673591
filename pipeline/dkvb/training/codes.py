"""Stage 2: keys fitted to the features, and every sample's codes, codebook by codebook (paper, sections 3 and 4).

Writes `projection.safetensors` (C, D, d) and zarr arrays `keys` (C, M, d), `train/codes` and `test/codes` (N, C, k)
uint16, and `test/neighbours`, `validation/neighbours` (N, C, K) uint16, from which later masked lookups are served.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from safetensors.numpy import save_file

from dkvb.bottleneck.keys import key_statistics
from dkvb.bottleneck.lookup import make_lookup
from dkvb.bottleneck.projection import UNIT, draw_projections, groups, whole_products
from dkvb.errors import UsageError
from dkvb.evaluation.queries import group_queries
from dkvb.recipe import Keys, Recipe
from dkvb.records.embed import EmbedResult
from dkvb.records.quantize import QuantizeResult
from dkvb.runtime import progress
from dkvb.runtime.cluster import at_once
from dkvb.runtime.device import choose_device, free_gpu_memory
from dkvb.runtime.parallel import cores, distributed_run, one_thread_per_worker, spread
from dkvb.training.codebooks import Fit
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import atomic
from dkvb.workspace.finished import Artifact
from dkvb.workspace.keys_spec import keys_for, quantize_spec
from dkvb.workspace.names import KEYS, PROJECTION
from dkvb.workspace.rows import labels, train_rows

PROCESS = 2**30
"""Bytes of the process itself: interpreter, libraries, blocks being read."""

PASS, SHARED_PASS = 0.25, 0.05
"""Codebooks that could be fitted and coded in the time of a pass over the features, more or less; and those for each
worker that reads at the same time, where all read through ten gigabits of a network (docs/scale_out.md)."""


@dataclass(frozen=True)
class Job:
    """What a process needs to fit and code codebooks of one artifact."""

    path: Path
    features: Artifact
    keys: Keys
    validation: float
    seed: int
    device: str
    threads: int | None
    without: tuple[int, ...] = ()

    @cached_property
    def embedded(self) -> EmbedResult:
        return self.features.result_as(EmbedResult)

    @cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Training rows to fit on, and those kept out for choosing N."""
        return fitted_rows(self.features, self.validation, self.seed, self.without)

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """The artifact's arrays by name, opened once for all codebooks."""
        names = [KEYS, "train/codes", "test/codes", *(f"{split}/neighbours" for split in self.neighbour_splits())]
        return {name: zarr.open_array(self.path / name, mode="r+") for name in names}

    @cached_property
    def fit(self) -> Fit:
        return Fit(self.keys, self.seed, self.rows[0], self.device)

    def neighbour_splits(self) -> dict[str, int]:
        """Splits that keep neighbour lists, and their lengths."""
        sizes = {"test": self.embedded.test, "validation": len(self.rows[1])}
        return {split: rows for split, rows in sizes.items() if rows and self.keys.neighbours}


def fitted_rows(
    features: Artifact, validation: float, seed: int, without: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Training rows that keys are fitted to, all but those of some classes, and the validation rows."""
    kept, aside = train_rows(features, validation, seed)
    return kept[~np.isin(labels(features, "train")[kept], without)] if without else kept, aside


def quantize_without(
    recipe: Recipe, workspace: Workspace, features: Artifact, seed: int, without: Sequence[int]
) -> Artifact:
    """Keys fitted as if some classes had never been there, and the codes of every sample; made where that has not been
    done."""
    quantize_seed(recipe, workspace, features, seed, False, tuple(without))
    return workspace.need_spec(quantize_spec(recipe, seed, features, without), "The keys fitted to the retain set")


def quantize_seed(
    recipe: Recipe, workspace: Workspace, features: Artifact, seed: int, force: bool, without: tuple[int, ...] = ()
) -> QuantizeResult:
    """Fit keys and code every sample for one seed, or find that an earlier run has done it.

    Args:
        without: classes whose samples take no part in fitting the keys.

    Raises:
        UsageError: more keys than samples that each is to start at.
        DamagedArtifact: what an earlier run left has been altered and cannot be mended.
    """
    keys = keys_for(recipe, seed, features, without)
    fitted = len(fitted_rows(features, recipe.data.validation, seed, without)[0])
    if keys.init == "sample" and keys.pairs > fitted and not (keys.adapt and fitted):
        raise UsageError(
            f"keys.init = 'sample' starts each of the {keys.pairs} keys at a training sample of its own, and"
            f" there are {fitted}: set keys.pairs to {fitted} or less, keys.adapt = true, or keys.init = 'official'."
        )
    label = f"quantize seed {seed}" + (f" without class {', '.join(map(str, without))}" if without else "")
    with workspace.claim(quantize_spec(recipe, seed, features, without), force) as claim:
        marks, apart = arrays.Marks(claim.path), distributed_run(recipe.run)
        if done := claim.reuse(label, lambda made: arrays.heal(made, marks, _units(made, keys.codebooks), label)):
            return done.entry(QuantizeResult, skipped=True)
        if note := adapted(recipe.keys, keys):
            progress.note(f"{label}: {note}")
        device, reason = choose_device(recipe.run.device)
        job = Job(claim.path, features, keys, recipe.data.validation, seed, device, 1 if apart else None, without)
        _prepare(job)
        together = group_size(recipe.run.memory, job)
        if device == "cuda":
            together = min(together, _fits_the_card(job))
        elif apart:
            together = unit_size(keys.codebooks, together, at_once(recipe.run))
        left = [group for group in groups(keys.codebooks, together) if any(marks.get(str(c)) is None for c in group)]
        progress.note(f"{label}: on {device} ({reason}), {together} codebooks to a pass over the features")
        with progress.task(f"{label}: keys and codes", keys.codebooks, "codebooks") as task:
            task.skip(sum(marks.get(str(c)) is not None for c in range(keys.codebooks)))
            if apart:
                for count in spread(quantize_group, left, recipe.run, job):
                    task.advance(count)
            else:
                for group in left:
                    quantize_group(job, group, task.advance)
        statistics = [marks.get(str(c)) or {} for c in range(keys.codebooks)]
        means = {name: float(np.mean([of[name] for of in statistics])) for name in statistics[0]}
        result = QuantizeResult(seed=seed, codebooks=keys.codebooks, pairs=keys.pairs, note=note, **means)
        return claim.finish(result).entry(QuantizeResult, skipped=False)


def adapted(asked: Keys, used: Keys) -> str | None:
    """How keys were adapted to the data, in words; None where they are as asked."""
    said = []
    if used.pairs != asked.pairs:
        said.append(
            f"keys start at training samples, of which there are {used.pairs:,}: that many pairs a codebook instead of"
            f" {asked.pairs:,}"
        )
    if used.top_k != asked.top_k:
        said.append(f"k = {used.top_k} instead of {asked.top_k}, since a codebook has no more keys")
    return "; ".join(said) or None


def _prepare(job: Job) -> None:
    """Projections and empty arrays, where an interrupted run has not made them yet."""
    keys, embedded = job.keys, job.embedded
    if not (job.path / PROJECTION).is_file():
        with atomic(job.path / PROJECTION) as temporary:
            save_file({"projection": draw_projections(job.seed, keys.codebooks, embedded.dim, keys.dim)}, temporary)
    arrays.create(job.path, KEYS, (keys.codebooks, keys.pairs, keys.dim), np.float32, (1, keys.pairs, keys.dim))
    for split, rows in (("train", embedded.train), ("test", embedded.test)):
        shape, chunk = (rows, keys.codebooks, keys.top_k), (rows, 1, keys.top_k)
        arrays.create(job.path, f"{split}/codes", shape, np.uint16, chunk)
    nearest = min(keys.neighbours, keys.pairs)
    for split, rows in job.neighbour_splits().items():
        arrays.create(job.path, f"{split}/neighbours", (rows, keys.codebooks, nearest), np.uint16, (rows, 1, nearest))


def group_size(memory: float, job: Job) -> int:
    """Codebooks that share a pass over the features, so that a process stays within `memory` GiB, or `UNIT` where it
    cannot.

    Held are the queries of the group, and per thread what one codebook needs: the queries it is fitted to, twice over
    while its statistics are taken, its batch order and its codes.
    """
    keys, train, test, threads = job.keys, job.embedded.train, job.embedded.test, job.threads or cores()
    queries = (train + test) * keys.dim * 4
    thread = 3 * train * keys.dim * 4 + 16 * train + 6 * train * keys.top_k + 6 * test * keys.neighbours
    spare = memory * 2**30 - PROCESS - threads * thread
    return int(min(max(spare // (queries * UNIT), 1), -(-keys.codebooks // UNIT)) * UNIT)


def unit_size(codebooks: int, most: int, workers: int) -> int:
    """Codebooks of a unit of work, `most` or fewer, with which as many workers are likely to be done soonest.

    With fewer codebooks to a unit workers end at about the same time; with more there are fewer passes over the
    features.
    """

    def ends(size: int) -> float:
        units = -(-codebooks // size)
        one = size + PASS + SHARED_PASS * min(units, workers)
        return -(-units // workers) * one + size / 2  # the last unit is on average half a unit late

    return min((1, 2, *range(UNIT, most + 1, UNIT)), key=ends)


def _fits_the_card(job: Job) -> int:
    """Codebooks that the GPU can fit together."""
    from dkvb.bottleneck.keys_gpu import codebooks_at_once  # torch: not for workers on a CPU

    keys, rows = job.keys, len(job.rows[0])
    return codebooks_at_once(free_gpu_memory(), keys.codebooks, rows, keys.pairs, keys.dim, keys.batch_size)


def quantize_group(job: Job, group: range, advance: Callable[[int], None] | None = None) -> int:
    """Fit and code the codebooks of a group that are not done yet; returns how many they were."""
    marks = arrays.Marks(job.path)
    left = [c for c in group if marks.get(str(c)) is None]
    fit, whole = job.fit, whole_products(group, job.keys.codebooks)
    # one thread on a GPU: a set of FAISS GPU resources serves one at a time
    with one_thread_per_worker(1 if fit.on_gpu else job.threads) as pool:
        projected = {split: group_queries(job.features, split, job.path, whole, pool) for split in ("train", "test")}
        own = slice(group.start - whole.start, group.stop - whole.start)
        queries = {split: q[own] for split, q in projected.items()}
        fitted = fit.together(group, queries["train"]) if fit.on_gpu else None

        def work(codebook: int) -> None:
            place = codebook - group.start
            one = {split: q[place] for split, q in queries.items()}
            _codebook(job, codebook, one, fit.one(codebook, one["train"]) if fitted is None else fitted[place])

        for _ in pool.map(work, left):
            if advance:
                advance(1)
    return len(left)


def _codebook(job: Job, codebook: int, queries: dict[str, np.ndarray], fitted: np.ndarray) -> None:
    """Code every sample with one codebook's fitted keys, write both, and mark the codebook done."""
    keys, (kept, validation) = job.keys, job.rows
    lookup = make_lookup(fitted, job.device)
    codes = {split: lookup.search(q, keys.top_k) for split, q in queries.items()}
    job.arrays[KEYS][codebook] = fitted
    for split, selected in codes.items():
        job.arrays[f"{split}/codes"][:, codebook] = selected.astype(np.uint16)
    listed = {"test": queries["test"], "validation": queries["train"][validation]}
    for split in job.neighbour_splits():
        nearest = lookup.search(listed[split], min(keys.neighbours, keys.pairs))
        job.arrays[f"{split}/neighbours"][:, codebook] = nearest.astype(np.uint16)
    arrays.Marks(job.path).set(str(codebook), key_statistics(queries["train"][kept], fitted, codes["train"][kept]))


def _units(artifact: Artifact, codebooks: int) -> dict[str, list[tuple[str, Any, str]]]:
    """Array, rows and chunk file of everything that each codebook wrote."""
    names = ("train/codes", "test/codes", "test/neighbours", "validation/neighbours")
    present = [name for name in names if (artifact.path / name).is_dir()]
    return {
        str(c): [(KEYS, c, f"{KEYS}/c/{c}/0/0"), *((name, (slice(None), c), f"{name}/c/0/{c}/0") for name in present)]
        for c in range(codebooks)
    }
