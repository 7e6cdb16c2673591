"""Values trained on cached codes: arrays in, arrays out. Keys are frozen, so that nothing is looked up again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dkvb.bottleneck.decoder import Decoder, flat_ids, start_values
from dkvb.errors import DkvbError
from dkvb.evaluation.selections import Rows
from dkvb.recipe import Keys, Train
from dkvb.runtime.memory import machine_memory
from dkvb.training.loop import History, Schedule, Unit, fit
from dkvb.training.on_disk import room

DENSE, BY_ROWS = 4, 3
"""Arrays of the values' size that training holds: they, Adam's two moments and, where it is dense, gradients."""


def new_decoder(settings: Train, keys: Keys, classes: int, seed: int, folder: Path | None = None) -> Decoder:
    """The values of a seed before training.

    Args:
        folder: where values trained by rows lie, with their moments, if they would fill more than half of the memory.

    Raises:
        DkvbError: dense training would need more memory than there is.
    """
    size, there = keys.codebooks * keys.pairs * classes * 4, machine_memory()
    if settings.adam == "dense" and DENSE * size > there:
        raise DkvbError(
            f"Training {keys.codebooks:,} x {keys.pairs:,} x {classes:,} values takes {DENSE * size / 2**30:.1f} GiB:"
            f" they are {size / 2**30:.1f} GiB, and there are gradients and two moments of each. This machine has"
            f' {there / 2**30:.1f} GiB. Set train.adam = "rows", which keeps what is too large on disk, or take fewer'
            " keys.codebooks or keys.pairs."
        )
    kept = folder if settings.adam == "rows" and BY_ROWS * size > there / 2 else None
    into = room((keys.codebooks * keys.pairs, classes), kept)
    start = start_values(settings.values, keys.codebooks, keys.pairs, classes, seed, into)
    return Decoder(start, keys.top_k, settings.pool, folder=kept)


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
    decoder = new_decoder(settings, keys, classes, unit.seed, unit.folder)
    module, places = Rows(decoder, flat_ids(codes, keys.pairs)), torch.from_numpy(rows)
    history = fit(module, places, torch.from_numpy(labels[rows]), Schedule.of(settings), unit, on_epoch)
    return values_of(decoder, keys), history
