"""Adam by rows: what dense Adam does, whether or not a step selects a row, in memory or on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from dkvb.bottleneck.decoder import Decoder, flat_ids
from dkvb.errors import DkvbError
from dkvb.recipe import Keys, Train
from dkvb.training import loop, values
from dkvb.training.row_adam import RowAdam
from dkvb.training.values import new_decoder

CODEBOOKS, PAIRS, CLASSES, ROWS, TOP_K = 3, 40, 5, 300, 2


def _data(pairs: int = PAIRS, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids of rows of which low keys are common and high ones rare, and labels that depend on them."""
    rng = np.random.default_rng(seed)
    codes = np.minimum(rng.geometric(0.15, (CODEBOOKS, ROWS, TOP_K)) - 1, pairs - 1)
    return flat_ids(codes, pairs), torch.from_numpy(codes[0, :, 0] % CLASSES)


def _trained(
    adam: Literal["dense", "rows"], epochs: int = 4, folder: Path | None = None
) -> tuple[Decoder, list[float]]:
    start = torch.randn((CODEBOOKS * PAIRS, CLASSES), generator=torch.Generator().manual_seed(1))
    decoder = Decoder(start, TOP_K, "sum", folder=folder)
    schedule = loop.Schedule(epochs, 0.1, 16, label_smoothing=0.1, adam=adam)
    history = loop.fit(decoder, *_data(), schedule, loop.Unit("here", 3))
    return decoder, [row["loss"] for row in history.rows]


def test_values_are_those_of_dense_adam() -> None:
    """With rows that are selected once in an epoch, or never."""
    (dense, losses), (rows, other) = _trained("dense"), _trained("rows")
    times = np.bincount(_data()[0].ravel(), minlength=CODEBOOKS * PAIRS)
    assert (times == 0).any()
    assert (times == 1).any()
    assert times.max() > 40
    np.testing.assert_allclose(rows.values.detach(), dense.values.detach(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(other, losses, rtol=1e-6)


@pytest.mark.parametrize("missed", [1, 7, 400])
@pytest.mark.parametrize(
    ("gradient", "before", "within"),
    [(1e-6, 3, 5e-4), (1e-8, 3, 5e-3), (1e-8, 300, 1e-4), (1e-10, 3, 1e-4)],
    ids=["far above epsilon", "like epsilon", "like epsilon, later", "far below it"],
)
def test_what_a_row_missed_is_what_dense_adam_does(gradient: float, before: int, within: float, missed: int) -> None:
    """A row is selected for some steps and then not: against dense Adam in float64."""
    decoder = Decoder(torch.zeros(2, 1), 1, "mean")
    optimiser = RowAdam(decoder, 0.1)
    value, first, second = 0.0, 0.0, 0.0
    for step in range(1, before + missed + 1):
        selected = step <= before
        optimiser.bring(torch.tensor([[0 if selected else 1]], dtype=torch.int32))
        optimiser.accumulate(torch.tensor([[gradient]]))
        optimiser.step()
        now = gradient if selected else 0.0
        first, second = 0.9 * first + 0.1 * now, 0.999 * second + 0.001 * now**2
        value -= 0.1 * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)) ** 0.5 + 1e-8)
    optimiser.settle()
    assert decoder.values[0].item() == pytest.approx(value, rel=within)
    assert optimiser.state[decoder.values]["exp_avg"][0].item() == pytest.approx(first, rel=1e-4, abs=1e-30)
    assert optimiser.state[decoder.values]["exp_avg_sq"][0].item() == pytest.approx(second, rel=1e-4)


def test_rows_that_every_step_selects_have_the_bits_of_dense_adam() -> None:
    ids = torch.arange(6, dtype=torch.int32).reshape(1, 6).repeat(8, 1)
    labels, trained = torch.arange(8) % CLASSES, []
    for adam in ("dense", "rows"):
        decoder = Decoder(torch.ones(6, CLASSES), 2, "mean")
        loop.fit(decoder, ids, labels, loop.Schedule(5, 0.3, 4, adam=adam), loop.Unit("here", 0))  # type: ignore[arg-type]
        trained.append(decoder.values.detach())
    torch.testing.assert_close(trained[0], trained[1], rtol=0, atol=0)


def test_on_disk_the_bits_are_those_in_memory_and_no_file_is_left(tmp_path: Path) -> None:
    here, there = _trained("rows"), _trained("rows", folder=tmp_path)
    torch.testing.assert_close(here[0].values, there[0].values, rtol=0, atol=0)
    assert there[0].folder == tmp_path
    assert not os.listdir(tmp_path)


def test_an_interrupted_training_ends_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    ids, labels = _data()
    schedule, unit = loop.Schedule(4, 0.1, 16, adam="rows"), loop.Unit("here", 3, tmp_path)
    whole, parts = (Decoder(torch.zeros(CODEBOOKS * PAIRS, CLASSES), TOP_K, "mean") for _ in range(2))
    loop.fit(whole, ids, labels, schedule, loop.Unit("here", 3))

    def killed() -> dict[str, float]:
        if seen := list(tmp_path.iterdir()):
            raise KeyboardInterrupt(seen)
        return {}

    with pytest.raises(KeyboardInterrupt):
        loop.fit(parts, ids, labels, schedule, unit, killed)
    again = Decoder(torch.zeros(CODEBOOKS * PAIRS, CLASSES), TOP_K, "mean")
    history = loop.fit(again, ids, labels, schedule, unit)
    assert [row["epoch"] for row in history.rows] == [1, 2, 3, 4]
    torch.testing.assert_close(again.values, whole.values, rtol=0, atol=0)


def test_values_too_large_for_memory_are_refused_with_what_to_do_or_lie_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(codebooks=4, pairs=64, top_k=1)
    size = 4 * 64 * 10 * 4
    monkeypatch.setattr(values, "machine_memory", lambda: 4 * size - 1)
    with pytest.raises(DkvbError, match=r'4 x 64 x 10 values.*adam = "rows".*keys\.pairs'):
        new_decoder(Train(adam="dense", values="normal"), keys, 10, 0, tmp_path)
    on_disk = new_decoder(Train(adam="rows", values="normal"), keys, 10, 0, tmp_path)
    monkeypatch.setattr(values, "machine_memory", lambda: 6 * size)
    in_memory = new_decoder(Train(adam="rows", values="normal"), keys, 10, 0, tmp_path)
    assert on_disk.folder == tmp_path
    assert in_memory.folder is None
    torch.testing.assert_close(on_disk.values, in_memory.values, rtol=0, atol=0)
    assert on_disk.values.detach().std().item() == pytest.approx(1, abs=0.1)
