"""The stages quantize and train on arrays: the same functions, the same bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dkvb.bottleneck.decoder import flat_ids
from dkvb.errors import DkvbError
from dkvb.evaluation.in_memory import ArrayBottleneck, Arrays, ArraySeed, ArraySplits
from dkvb.recipe import Recipe
from dkvb.runtime.device import choose_device
from dkvb.training.array_codes import quantize
from dkvb.training.codebooks import Fit
from dkvb.training.loop import Schedule, Unit, fit
from dkvb.training.on_retain_set import Stopwatch, passed_over, retained
from dkvb.training.values import new_decoder, retrained_values, values_of
from dkvb.workspace.keys_spec import served
from dkvb.workspace.rows import split_rows


def trained_on(data: Arrays, classes: list[str], recipe: Recipe) -> ArraySeed:
    """The bottleneck of the recipe's first seed, trained on all rows but those kept out for validation.

    Raises:
        UsageError: the recipe asks for a GPU and there is none.
        DkvbError: a loss that is not finite.
    """
    seed = recipe.run.seeds[0]
    kept, aside = split_rows(data.labels, recipe.data.validation, seed)
    keys = served(recipe.keys, len(kept))
    coded = quantize(data.features, Fit(keys, seed, kept, choose_device(recipe.run.device)[0]), [kept, aside])
    codes = dict(zip(("train", "validation"), coded.codes, strict=True))
    decoder = new_decoder(recipe.train, keys, len(classes), seed)
    ids, labels = flat_ids(codes["train"], keys.pairs), torch.from_numpy(data.labels[kept])
    fit(decoder, ids, labels, Schedule.of(recipe.train), Unit("train dkvb", seed))
    nothing = Arrays(data.features[:0], data.labels[:0])
    splits = ArraySplits(data, nothing, classes, kept, aside)
    values = values_of(decoder, keys)
    return ArraySeed(recipe, seed, keys, ArrayBottleneck(splits, coded.projection, coded.keys, codes, values, recipe))


@dataclass(frozen=True)
class Retrained:
    """Values that were trained again, without some classes and some rows."""

    values: np.ndarray
    """(C, M, L) float32."""
    passed_over: np.ndarray
    """(C, M) bool, pairs that are passed over with them."""
    seconds: float


def retrained_without(trained: ArraySeed, classes: list[int], rows: np.ndarray, again: bool = False) -> Retrained:
    """Values trained from scratch on the same keys without some classes and some rows (n,) of the training data.

    Args:
        again: as the next seed would start and train them.

    Raises:
        DkvbError: nothing is left to train on, or a loss that is not finite.
    """
    bare = trained.standing_as(None, rows)
    left = np.flatnonzero(retained(bare, classes))
    if not len(left):
        raise DkvbError("Nothing is left to train on: the rows and classes to forget are all there is. Leave some out.")
    values, history = retrained_values(
        bare.bottleneck.codes("train"),
        bare.splits.labels["train"],
        left,
        bare.recipe.train,
        bare.keys,
        len(bare.splits.classes),
        Unit("retrain", bare.seed + again),
        Stopwatch(),
    )
    seconds = sum(row["seconds"] for row in history.rows)
    return Retrained(values, passed_over(bare, classes), round(seconds, 3))
