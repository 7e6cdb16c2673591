"""Stage 3: values trained from cached codes, and the linear baseline from cached features (paper, section 5.1; Tables 4
and 5).

Writes `values.safetensors` (C, M, L) with zarr `counts` (L, C, M), how often each class selected each pair in the last
epoch, from which a class can be unlearned without its data; or `linear.safetensors`; and `metrics.parquet`, a row per
epoch.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from dkvb.bottleneck.decoder import Decoder, flat_ids, start_values
from dkvb.bottleneck.mask_order import selection_counts_by_class
from dkvb.evaluation.splits import Splits
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.metrics.accuracy import accuracies, per_class
from dkvb.recipe import Recipe
from dkvb.runtime import progress
from dkvb.runtime.parallel import each_unit
from dkvb.training.codes import quantize_seed
from dkvb.training.linear_head import converged_head, new_head, predict
from dkvb.training.loop import History, fit
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Artifact, Claim, Workspace
from dkvb.workspace.files import atomic
from dkvb.workspace.names import CHECKPOINT, CONVERGED, COUNTS, LINEAR, METRICS, VALUES
from dkvb.workspace.requests import need_features
from dkvb.workspace.specs import dkvb_spec, linear_spec, quantize_spec

BATCH = 4096
"""Rows evaluated at a time."""


def run(recipe: Recipe, workspace: Workspace, force: bool = False) -> list[dict[str, Any]]:
    """Train the bottleneck's values and the linear head for each seed; quantizes first where that has not been done.

    Raises:
        MissingStage: nothing embedded yet.
        DamagedArtifact: features or codes have been altered.
        DkvbError: a loss that is not finite.
    """
    features = need_features(recipe, workspace)
    for seed in recipe.run.seeds:
        if workspace.get(quantize_spec(recipe, seed, features)) is None:
            quantize_seed(recipe, workspace, features, seed, force=False)
    return [
        entry for entries in each_unit(_seed, recipe.run.seeds, recipe, workspace, features, force) for entry in entries
    ]


def _seed(recipe: Recipe, workspace: Workspace, features: Artifact, force: bool, seed: int) -> list[dict[str, Any]]:
    codes = workspace.need_spec(quantize_spec(recipe, seed, features), f"The keys and codes of seed {seed}")
    splits = Splits(features, recipe.data.validation, seed)
    return [_dkvb(recipe, workspace, splits, codes, force), _linear(recipe, workspace, splits, force)]


def _entry(artifact: Artifact, skipped: bool) -> dict[str, Any]:
    return {
        **artifact.result,
        "seconds": artifact.manifest["seconds"],
        "skipped": skipped,
        "artifact": str(artifact.path),
    }


def _done(claim: Claim, label: str) -> dict[str, Any] | None:
    if claim.artifact is None:
        return None
    claim.artifact.check()
    progress.note(f"{label}: already done ({claim.artifact.path.name})")
    return _entry(claim.artifact, skipped=True)


def _dkvb(recipe: Recipe, workspace: Workspace, splits: Splits, codes: Artifact, force: bool) -> dict[str, Any]:
    """Train values on cached codes: keys are frozen, so that nothing is looked up again."""
    keys, settings, seed = recipe.keys, recipe.train, splits.seed
    with workspace.claim(dkvb_spec(recipe, seed, codes.fingerprint), force) as claim:
        if done := _done(claim, f"train dkvb seed {seed}"):
            return done
        classes = len(splits.classes)
        model = StoredBottleneck(splits, codes, np.empty(0), settings.pool, masks_unused=keys.unused == "mask")
        decoder = Decoder(
            start_values(settings.values, keys.codebooks, keys.pairs, classes, seed), keys.top_k, settings.pool
        )
        ids = {split: flat_ids(model.codes(split), keys.pairs) for split in ("train", "test")}
        history = _fit(decoder, ids["train"], ids["test"], splits, settings, "train dkvb", claim)
        model.values = decoder.values.detach().numpy().reshape(keys.codebooks, keys.pairs, classes)
        with atomic(claim.path / VALUES) as temporary:
            save_file({"values": torch.from_numpy(model.values)}, temporary)
        counts = selection_counts_by_class(model.codes("train"), splits.labels["train"], classes, keys.pairs)
        arrays.create(claim.path, COUNTS, counts.shape, counts.dtype, (1, *counts.shape[1:]), packed=True)[:] = counts
        order = model.no_mask(counts.sum(0))
        predicted = {split: masked_predictions(model, order, [0], split)[0] for split in ("train", "test")}
        return _finish(
            claim,
            "dkvb",
            splits,
            predicted,
            history,
            {"parameters": model.values.size, "selected_pairs": int((counts.sum(0) > 0).sum())},
        )


def _linear(recipe: Recipe, workspace: Workspace, splits: Splits, force: bool) -> dict[str, Any]:
    """Train the baseline: one linear layer on the features."""
    with workspace.claim(linear_spec(recipe, splits.seed, splits.features), force) as claim:
        if done := _done(claim, f"train linear seed {splits.seed}"):
            return done
        inputs = {split: torch.from_numpy(splits.features_of(split)) for split in ("train", "test")}
        head = new_head(splits.seed, inputs["train"].shape[1], len(splits.classes))
        history = _fit(head, inputs["train"], inputs["test"], splits, recipe.linear, "train linear", claim)
        with atomic(claim.path / LINEAR) as temporary:
            save_file({name: parameter.detach() for name, parameter in head.named_parameters()}, temporary)
        predicted = {split: predict(head, inputs[split]) for split in inputs}
        more: dict[str, Any] = {"parameters": sum(p.numel() for p in head.parameters())}
        if recipe.linear.converged:
            more["converged"] = _converged(claim, splits, inputs)
        return _finish(claim, "linear", splits, predicted, history, more)


def _converged(claim: Claim, splits: Splits, inputs: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Train and keep the head that is trained to convergence; its accuracies."""
    started, classes = time.perf_counter(), len(splits.classes)
    weight, bias, iterations = converged_head(inputs["train"].numpy(), splits.labels["train"], classes)
    seconds = round(time.perf_counter() - started, 3)
    with atomic(claim.path / CONVERGED) as temporary:
        save_file({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)}, temporary)
    result: dict[str, Any] = {"iterations": iterations, "seconds": seconds}
    for split, x in inputs.items():
        predicted = (x.numpy() @ weight.T + bias).argmax(1)
        correct, total = per_class(predicted, splits.labels[split], classes)
        result |= {split: float(correct.sum() / total.sum()), f"per_class_{split}": accuracies(correct, total)}
    return result


def _fit(
    module: torch.nn.Module,
    train: torch.Tensor,
    test: torch.Tensor,
    splits: Splits,
    settings: Any,
    unit: str,
    claim: Claim,
) -> History:
    labels = torch.from_numpy(splits.labels["train"])
    return fit(
        module,
        train,
        labels,
        epochs=settings.epochs,
        lr=settings.lr,
        batch_size=settings.batch_size,
        seed=splits.seed,
        unit=unit,
        folder=claim.path,
        on_epoch=lambda: {"test_accuracy": float((predict(module, test) == splits.labels["test"]).mean())},
    )


def _finish(
    claim: Claim, model: str, splits: Splits, predicted: dict[str, np.ndarray], history: History, more: dict[str, Any]
) -> dict[str, Any]:
    history.parquet(claim.path / METRICS)
    (claim.path / CHECKPOINT).unlink(missing_ok=True)
    counted = {split: per_class(predicted[split], splits.labels[split], len(splits.classes)) for split in predicted}
    correct, total = counted["test"]
    result = {
        "seed": splits.seed,
        "model": model,
        **{split: float(c.sum() / t.sum()) for split, (c, t) in counted.items()},
        **{f"per_class_{split}": accuracies(c, t) for split, (c, t) in counted.items()},
        "misclassified_test": (total - correct).tolist(),
        "tested": total.tolist(),
        "classes": splits.classes,
        **more,
    }
    return _entry(claim.finish(result), skipped=False)
