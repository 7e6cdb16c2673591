"""Models trained from scratch on the retain set alone: what unlearning is measured against.

Each is an artifact of its own, resumable and shared by all methods and checks that need it: values on the same keys
("retrain"), values on keys that were fitted without the forget classes as well ("retrain-keys"), or a linear head
("retrain-linear").
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import save_file

from dkvb.bottleneck.mask_order import selection_counts
from dkvb.errors import DamagedArtifact, DkvbError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.standardise import Standardiser
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.metrics.flops import adam_flops, linear_flops, selection_flops, values_flops
from dkvb.records.train import RetrainedResult
from dkvb.runtime import progress
from dkvb.training.codes import quantize_without
from dkvb.training.linear_head import converged_head, folded, new_head
from dkvb.training.loop import History, Schedule, Unit, fit
from dkvb.training.values import retrained_values
from dkvb.workspace.files import atomic, canonical_hash
from dkvb.workspace.finished import Artifact
from dkvb.workspace.keys_spec import quantize_spec
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import CHECKPOINT, LINEAR, VALUES
from dkvb.workspace.settings import QuantizeSettings
from dkvb.workspace.specs import dkvb_spec, linear_spec


class Stopwatch:
    """Seconds since the last call, as a measure of an epoch."""

    def __init__(self) -> None:
        self.last = time.perf_counter()

    def __call__(self) -> dict[str, float]:
        before, self.last = self.last, time.perf_counter()
        return {"seconds": self.last - before}


What = Literal["retrain", "retrain-keys", "retrain-linear"]
"""Which model is trained again; the names of the methods that measure it."""


def retrained(trained: TrainedSeed, forget: Sequence[int], what: What, again: bool = False) -> Artifact:
    """The artifact of a retrained model, trained now where no earlier run has done that; its result is a
    `RetrainedResult`. Samples that `trained` leaves out take no part either.

    Args:
        again: a second one, on the same keys, that starts and is trained as the next seed would: how far two such
            models are apart is the least that can be asked of any other.

    Raises:
        MissingStage: there is no trained model yet.
        DkvbError: the retain set is empty, or a loss that is not finite.
    """
    recipe, seed = trained.recipe, trained.seed
    rows = np.flatnonzero(retained(trained, forget))
    if len(rows) == 0:
        raise DkvbError(
            "Nothing is left to retrain on: the forget classes are all there is in the training set. Leave one out."
        )
    trained.features.check()
    if what == "retrain-linear":
        like = linear_spec(recipe, seed, trained.features)
    else:
        without = list(forget) if what == "retrain-keys" else []
        like = dkvb_spec(recipe, seed, quantize_spec(recipe, seed, trained.features, without).fingerprint)
    settings = {**like.settings, "what": what, "forget": list(forget)}
    start, label = seed + 1 if again else seed, f"{recipe.data_name}-{what}-{'-'.join(map(str, forget))}"
    if trained.left_out is not None:
        settings["left_out"] = canonical_hash(trained.left_out.tolist())
        label += f"-{len(trained.left_out)}-samples"
    label += f"-seed{seed}"
    if again:
        settings, label = {**settings, "training_seed": start}, f"{label}-again"
    spec = Spec("retrained", label, settings, like.inputs)
    with trained.workspace.claim(spec, force=damaged(trained, spec)) as claim:
        if claim.artifact:
            return claim.artifact
        train = _head if what == "retrain-linear" else _values
        seconds, flops, adam = train(trained, forget, rows, what, Unit(what, start, claim.path))
        (claim.path / CHECKPOINT).unlink(missing_ok=True)
        result = RetrainedResult(
            what=what, forget=list(forget), seed=seed, seconds=seconds, flops=flops, flops_adam=adam
        )
        return claim.finish(result)


def damaged(trained: TrainedSeed, spec: Spec) -> bool:
    """Whether the model's files, or what it was trained on, were altered since: it is then trained again without
    asking, since nothing else was made from it."""
    try:
        if artifact := trained.workspace.get(spec):
            trained.workspace.check(artifact)
    except DamagedArtifact as error:
        progress.note(f"{error} Making it again now.")
        return True
    return False


def bottleneck(trained: TrainedSeed, forget: Sequence[int], what: What, values: np.ndarray) -> StoredBottleneck:
    """A retrained bottleneck: the seed's own, or one on keys fitted to the retain set."""
    if what != "retrain-keys":
        return trained.bottleneck.with_values(values)
    codes = quantize_without(trained.recipe, trained.workspace, trained.features, trained.seed, forget)
    return StoredBottleneck(
        trained.splits, codes, values, trained.recipe.train.pool, trained.recipe.keys.unused == "mask"
    )


def load_bottleneck(
    trained: TrainedSeed, forget: Sequence[int], what: What, again: bool = False
) -> tuple[StoredBottleneck, np.ndarray]:
    """A retrained bottleneck, trained where that has not been done, and its mask order (C, M), see
    `Bottleneck.no_mask`. `again`: see `retrained`."""
    artifact = retrained(trained, forget, what, again)
    model = bottleneck(trained, forget, what, artifact.tensors(VALUES)["values"])
    return model, unmasked(trained, model, forget)


def load_head(trained: TrainedSeed, forget: Sequence[int]) -> dict[str, np.ndarray]:
    """`weight` (L, D) and `bias` (L,) of the retrained linear head."""
    return retrained(trained, forget, "retrain-linear").tensors(LINEAR)


def retained(trained: TrainedSeed, forget: Sequence[int]) -> np.ndarray:
    """(N,) bool: the training rows of other classes, without the samples that are left out."""
    kept: np.ndarray = ~np.isin(trained.splits.labels["train"], forget)
    if trained.left_out is not None:
        kept &= ~np.isin(trained.splits.rows["train"], trained.left_out)
    return kept


def passed_over(trained: TrainedSeed, forget: Sequence[int]) -> np.ndarray:
    """(C, M) bool: the pairs that none of the rows that stay selects, where the recipe passes over such pairs; else
    none."""
    return unmasked(trained, trained.bottleneck, forget) < 0


def unmasked(trained: TrainedSeed, model: StoredBottleneck, forget: Sequence[int]) -> np.ndarray:
    """The mask order (C, M) of a model that was trained on the rows that stay, see `Bottleneck.no_mask`."""
    if not model.masks_unused:
        return model.no_mask(np.empty((model.codebooks, model.pairs)))
    retain = retained(trained, forget)
    return model.no_mask(selection_counts(model.codes("train")[:, retain], model.pairs))


def _values(
    trained: TrainedSeed, forget: Sequence[int], rows: np.ndarray, what: What, unit: Unit
) -> tuple[float, int, int]:
    """Train values from scratch on some training rows and keep them; seconds, flops and those of Adam among them."""
    settings, splits = trained.recipe.train, trained.splits
    model = bottleneck(trained, forget, what, np.empty(0))
    keys = model.codes_artifact.settings_as(QuantizeSettings).keys
    labels, classes = splits.labels["train"], len(splits.classes)
    values, history = retrained_values(model.codes("train"), labels, rows, settings, keys, classes, unit, Stopwatch())
    seconds = _seconds(history)
    assert unit.folder is not None
    with atomic(unit.folder / VALUES) as temporary:
        save_file({"values": torch.from_numpy(values)}, temporary)
    flops = values_flops(len(rows), keys.codebooks, keys.top_k, classes, settings.epochs)
    flops += (adam := adam_flops(values.size, len(rows), settings.batch_size, settings.epochs))
    if what == "retrain-keys":
        width = splits.width
        # each epoch of the fit searches every sample once; projecting it is done once; then all samples are coded
        everyone = sum(len(of_split) for of_split in splits.rows.values())
        fitted = selection_flops(len(rows), width, keys.codebooks, keys.pairs, keys.dim)
        searched = selection_flops(len(rows), 0, keys.codebooks, keys.pairs, keys.dim)
        flops += (
            fitted
            + searched * (keys.epochs - 1)
            + selection_flops(everyone, width, keys.codebooks, keys.pairs, keys.dim)
        )
        seconds += model.codes_artifact.seconds
    return seconds, flops, adam


def _head(
    trained: TrainedSeed, forget: Sequence[int], rows: np.ndarray, what: What, unit: Unit
) -> tuple[float, int, int]:
    """Train a linear head from scratch on some training rows and keep it; seconds, flops and those of Adam among
    them."""
    settings = trained.recipe.linear
    inputs = torch.from_numpy(trained.splits.features_of("train")[rows])
    in_line = Standardiser.of(inputs.numpy())
    inputs = in_line(inputs)
    assert unit.folder is not None
    if settings.until == "converged":
        return _converged(trained, inputs.numpy(), rows, in_line, unit.folder)
    head = new_head(unit.seed, inputs.shape[1], len(trained.splits.classes))
    labels = torch.from_numpy(trained.splits.labels["train"][rows])
    seconds = _seconds(fit(head, inputs, labels, Schedule.of(settings), unit, Stopwatch()))
    with atomic(unit.folder / LINEAR) as temporary:
        save_file(folded(head, in_line), temporary)
    products = linear_flops(len(rows), inputs.shape[1], len(trained.splits.classes), settings.epochs)
    parameters = sum(parameter.numel() for parameter in head.parameters())
    adam = adam_flops(parameters, len(rows), settings.batch_size, settings.epochs)
    return seconds, products + adam, adam


def _converged(
    trained: TrainedSeed, inputs: np.ndarray, rows: np.ndarray, in_line: Standardiser, folder: Path
) -> tuple[float, int, int]:
    """The same for a head that is trained to convergence, whose solver is taken to pass over the rows once an
    iteration."""
    started, classes = time.perf_counter(), len(trained.splits.classes)
    weight, bias, iterations = converged_head(inputs, trained.splits.labels["train"][rows], classes)
    seconds = round(time.perf_counter() - started, 3)
    weight, bias = in_line.fold(weight, bias)
    with atomic(folder / LINEAR) as temporary:
        save_file({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)}, temporary)
    return seconds, linear_flops(len(rows), inputs.shape[1], classes, iterations), 0


def _seconds(history: History) -> float:
    """What the epochs took, those of an interrupted run included."""
    return round(sum(row["seconds"] for row in history.rows), 3)
