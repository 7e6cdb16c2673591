"""Values trained on cached codes: arrays in, arrays out. Keys are frozen, so that nothing is looked up again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from dkvb.bottleneck.decoder import Decoder, flat_ids, start_values
from dkvb.evaluation.selections import Rows
from dkvb.recipe import Keys, Train
from dkvb.training.loop import History, Schedule, Unit, fit


def new_decoder(settings: Train, keys: Keys, classes: int, seed: int) -> Decoder:
    """The values of a seed before training."""
    start = start_values(settings.values, keys.codebooks, keys.pairs, classes, seed)
    return Decoder(start, keys.top_k, settings.pool)


def values_of(decoder: Decoder, keys: Keys) -> np.ndarray:
    """(C, M, L) float32, the decoder's own memory."""
    return np.asarray(decoder.values.detach().numpy()).reshape(keys.codebooks, keys.pairs, -1)


def retrained_values(
    codes: np.ndarray,
    labels: np.ndarray,
    rows: np.ndarray,
    settings: Train,
    keys: Keys,
    classes: int,
    unit: Unit,
    on_epoch: Callable[[], dict[str, float]] = dict,
) -> tuple[np.ndarray, History]:
    """Values (C, M, L) trained from scratch on some rows (n,) of codes (C, N, k) and labels (N,), and the history.

    Raises:
        DkvbError: a loss that is not finite.
    """
    decoder = new_decoder(settings, keys, classes, unit.seed)
    module, places = Rows(decoder, flat_ids(codes, keys.pairs)), torch.from_numpy(rows)
    history = fit(module, places, torch.from_numpy(labels[rows]), Schedule.of(settings), unit, on_epoch)
    return values_of(decoder, keys), history
