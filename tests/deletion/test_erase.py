"""Rewriting an array in place: cut short at any step, what is there can still be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from dkvb.deletion import erase
from dkvb.workspace import arrays


def test_stopped_while_it_overwrites_a_chunk_of_zeros_the_array_is_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = np.random.default_rng(0).integers(1, 9, (3, 4, 8)).astype(np.uint32)
    arrays.create(tmp_path, "counts", counts.shape, np.uint32, (1, 4, 8))[:] = counts
    without = counts.copy()
    without[1] = 0  # such a chunk takes no file

    def stop(path: Path) -> None:
        path.write_bytes(bytes(path.stat().st_size))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(erase, "shred", stop)
        with pytest.raises(KeyboardInterrupt):
            erase.rewrite_array(tmp_path, "counts", without, tmp_path / "staging")
    assert (np.asarray(zarr.open_array(tmp_path / "counts", mode="r")[:]) == without).all()
    erase.rewrite_array(tmp_path, "counts", without, tmp_path / "staging")
    assert (np.asarray(zarr.open_array(tmp_path / "counts", mode="r")[:]) == without).all()
