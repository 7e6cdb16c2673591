"""Stage 3: values trained from cached codes, and the linear baseline from cached features (paper, section 5.1; Tables 4
and 5).

Writes `values.safetensors` (C, M, L) with zarr `counts` (L, C, M), how often each class selected each pair in the last
epoch, from which a class can be unlearned without its data; or `linear.safetensors`; and, of what is trained by epochs,
`metrics.parquet`, a row per epoch.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from dkvb.bottleneck.decoder import flat_ids
from dkvb.bottleneck.mask_order import selection_counts_by_class
from dkvb.evaluation.accuracies import count
from dkvb.evaluation.splits import Splits
from dkvb.evaluation.standardise import Standardiser
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.recipe import Linear, Recipe, Train
from dkvb.records.accuracies import Model
from dkvb.records.train import ConvergedHead, TrainResult
from dkvb.runtime import progress
from dkvb.runtime.parallel import each_unit
from dkvb.training.codes import quantize_seed
from dkvb.training.linear_head import converged_head, folded, new_head, predict
from dkvb.training.loop import History, Schedule, Unit, fit
from dkvb.training.values import new_decoder, values_of
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Claim, Workspace
from dkvb.workspace.files import atomic
from dkvb.workspace.finished import Artifact
from dkvb.workspace.keys_spec import keys_for, quantize_spec
from dkvb.workspace.names import CHECKPOINT, CONVERGED, COUNTS, LINEAR, MEASURED_SPLITS, METRICS, VALUES
from dkvb.workspace.purged import refuse_anew
from dkvb.workspace.requests import need_features
from dkvb.workspace.specs import dkvb_spec, linear_spec

COUNTED = 2**28
"""Bytes of counts that are held at a time."""


def run(recipe: Recipe, workspace: Workspace, force: bool = False) -> list[TrainResult]:
    """Train the bottleneck's values and the linear head for each seed; quantizes first where that has not been done.

    Raises:
        MissingStage: nothing embedded yet.
        DamagedArtifact: features or codes have been altered.
        SettingsClash: forced or deleted, where rows were purged since the keys were fitted or the values trained.
        DkvbError: a loss that is not finite.
    """
    features = need_features(recipe, workspace)
    for seed in recipe.run.seeds:
        codes = quantize_spec(recipe, seed, features)
        model = dkvb_spec(recipe, seed, codes.fingerprint)
        if workspace.get(codes) is None:
            refuse_anew(workspace, codes, features)
        if force or workspace.get(model) is None:
            refuse_anew(workspace, model, features)
        if workspace.get(codes) is None:
            quantize_seed(recipe, workspace, features, seed, force=False)
    if len(recipe.run.seeds) == 1:  # here, on all cores: the values take nearly all the time
        recipe = recipe.with_(run={"workers": 1, "scheduler": None})
    units: list[tuple[int, Model]] = [(seed, model) for seed in recipe.run.seeds for model in ("dkvb", "linear")]
    return each_unit(_model, units, recipe, workspace, features, force)


def _model(
    recipe: Recipe, workspace: Workspace, features: Artifact, force: bool, unit: tuple[int, Model]
) -> TrainResult:
    seed, model = unit
    splits = Splits(features, recipe.data.validation, seed)
    if model == "linear":
        return _linear(recipe, workspace, splits, force)
    codes = workspace.need_spec(quantize_spec(recipe, seed, features), f"The keys and codes of seed {seed}")
    return _dkvb(recipe, workspace, splits, codes, force)


def _dkvb(recipe: Recipe, workspace: Workspace, splits: Splits, codes: Artifact, force: bool) -> TrainResult:
    """Train values on cached codes: keys are frozen, so that nothing is looked up again."""
    settings, seed = recipe.train, splits.seed
    keys = keys_for(recipe, seed, splits.features)
    with workspace.claim(dkvb_spec(recipe, seed, codes.fingerprint), force) as claim:
        if done := claim.reuse(f"train dkvb seed {seed}"):
            return done.entry(TrainResult, skipped=True)
        classes = len(splits.classes)
        model = StoredBottleneck(splits, codes, np.empty(0), settings.pool, masks_unused=keys.unused == "mask")
        decoder = new_decoder(settings, keys, classes, seed, claim.path)
        ids = {split: flat_ids(model.codes(split), keys.pairs) for split in MEASURED_SPLITS}
        history = _fit(decoder, ids, splits, settings, Unit("train dkvb", seed, claim.path))
        model.values = values_of(decoder, keys)
        with atomic(claim.path / VALUES) as temporary:
            save_file({"values": torch.from_numpy(model.values)}, temporary)
        selected = _count(claim, model.codes("train"), splits.labels["train"], classes, keys.pairs)
        order = model.no_mask(selected)
        predicted = {split: masked_predictions(model, order, [0], split)[0] for split in MEASURED_SPLITS}
        more = {"parameters": model.values.size, "selected_pairs": int((selected > 0).sum())}
        return _finish(claim, "dkvb", splits, predicted, history, **more)


def _count(claim: Claim, codes: np.ndarray, labels: np.ndarray, classes: int, pairs: int) -> np.ndarray:
    """Write how often each class selected each pair, some classes at a time; (C, M), how often all of them did."""
    shape = (len(codes), pairs)
    stored = arrays.create(claim.path, COUNTS, (classes, *shape), np.dtype(np.uint32), (1, *shape), packed=True)
    selected, at_once = np.zeros(shape, np.int64), max(1, COUNTED // (4 * len(codes) * pairs))
    for start in range(0, classes, at_once):
        some = min(at_once, classes - start)
        rows = np.flatnonzero((labels >= start) & (labels < start + some))
        counts = selection_counts_by_class(codes[:, rows], labels[rows] - start, some, pairs)
        stored[start : start + some] = counts
        selected += counts.sum(0, dtype=np.int64)
    return selected


def _linear(recipe: Recipe, workspace: Workspace, splits: Splits, force: bool) -> TrainResult:
    """Train the baseline: one linear layer on the features, for the recipe's epochs or to convergence."""
    with workspace.claim(linear_spec(recipe, splits.seed, splits.features), force) as claim:
        if done := claim.reuse(f"train linear seed {splits.seed}"):
            return done.entry(TrainResult, skipped=True)
        inputs = {split: torch.from_numpy(splits.features_of(split)) for split in MEASURED_SPLITS}
        in_line = Standardiser.of(inputs["train"].numpy())
        if len(in_line.columns):
            progress.note(f"train linear seed {splits.seed}: {in_line.in_words()}")
        inputs = {split: in_line(x) for split, x in inputs.items()}
        if recipe.linear.until == "converged":
            return _only_converged(claim, splits, inputs, in_line)
        head = new_head(splits.seed, inputs["train"].shape[1], len(splits.classes))
        history = _fit(head, inputs, splits, recipe.linear, Unit("train linear", splits.seed, claim.path))
        with atomic(claim.path / LINEAR) as temporary:
            save_file(folded(head, in_line), temporary)
        predicted = {split: predict(head, inputs[split]) for split in inputs}
        converged = _converged(claim, splits, inputs, in_line, CONVERGED)[0] if recipe.linear.converged else None
        parameters = sum(parameter.numel() for parameter in head.parameters())
        return _finish(claim, "linear", splits, predicted, history, parameters=parameters, converged=converged)


def _only_converged(
    claim: Claim, splits: Splits, inputs: dict[str, torch.Tensor], in_line: Standardiser
) -> TrainResult:
    """The baseline where it is trained to convergence: no epochs, and so no history."""
    converged, predicted = _converged(claim, splits, inputs, in_line, LINEAR)
    parameters = (inputs["train"].shape[1] + 1) * len(splits.classes)
    more = {"parameters": parameters, "converged": converged, "until": "converged"}
    return _finish(claim, "linear", splits, predicted, None, **more)


def _converged(
    claim: Claim, splits: Splits, inputs: dict[str, torch.Tensor], in_line: Standardiser, name: str
) -> tuple[ConvergedHead, dict[str, np.ndarray]]:
    """Train to convergence and keep under a name; what it reached, and its predictions (N,) by split."""
    started = time.perf_counter()
    weight, bias, iterations = converged_head(inputs["train"].numpy(), splits.labels["train"], len(splits.classes))
    seconds = round(time.perf_counter() - started, 3)
    kept = in_line.fold(weight, bias)
    with atomic(claim.path / name) as temporary:
        save_file({"weight": torch.from_numpy(kept[0]), "bias": torch.from_numpy(kept[1])}, temporary)
    predicted = {split: (x.numpy() @ weight.T + bias).argmax(1) for split, x in inputs.items()}
    counts = count(splits, predicted)
    reached = ConvergedHead(
        iterations=iterations,
        seconds=seconds,
        train=counts["train"].accuracy,
        per_class_train=counts["train"].per_class,
        test=counts["test"].accuracy,
        per_class_test=counts["test"].per_class,
    )
    return reached, predicted


def _fit(
    module: torch.nn.Module, inputs: dict[str, torch.Tensor], splits: Splits, settings: Train | Linear, unit: Unit
) -> History:
    """Train on the inputs of the training split, measuring test accuracy every epoch."""

    def test_accuracy() -> dict[str, float]:
        return {"test_accuracy": float((predict(module, inputs["test"]) == splits.labels["test"]).mean())}

    labels = torch.from_numpy(splits.labels["train"])
    return fit(module, inputs["train"], labels, Schedule.of(settings), unit, test_accuracy)


def _finish(
    claim: Claim, model: Model, splits: Splits, predicted: dict[str, np.ndarray], history: History | None, **more: Any
) -> TrainResult:
    """Write the history, where there is one, and the result; `more` are the fields of `TrainResult` that only one kind
    of model has."""
    if history:
        history.parquet(claim.path / METRICS)
    (claim.path / CHECKPOINT).unlink(missing_ok=True)
    counts = count(splits, predicted)
    result = TrainResult(
        seed=splits.seed,
        model=model,
        train=counts["train"].accuracy,
        test=counts["test"].accuracy,
        per_class_train=counts["train"].per_class,
        per_class_test=counts["test"].per_class,
        misclassified_test=(counts["test"].total - counts["test"].correct).tolist(),
        tested=counts["test"].total.tolist(),
        classes=splits.classes,
        **more,
    )
    return claim.finish(result).entry(TrainResult, skipped=False)
