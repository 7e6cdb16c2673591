"""Arrays of large files of tensors lie on disk: the same numbers, and what is written into them stays in memory."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from dkvb.errors import DamagedArtifact
from dkvb.workspace import tensors

ARRAYS = {
    "values": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "mask": np.arange(5, dtype=np.uint8),
    "wide": np.arange(3, dtype=np.int64),
    "whether": np.array([True, False]),
}


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as large."""
    monkeypatch.setattr(tensors, "MAPPED", 1)
    file = tmp_path / "train" / "model" / "values.safetensors"
    file.parent.mkdir(parents=True)
    save_file(ARRAYS, file, metadata={"made": "here"})
    return file


def test_they_are_what_was_saved(large: Path) -> None:
    mapped = tensors.load_file(large)
    assert mapped.keys() == ARRAYS.keys()
    for name, array in mapped.items():
        assert isinstance(array, np.memmap)
        assert array.dtype == ARRAYS[name].dtype
        np.testing.assert_array_equal(array, ARRAYS[name])


def test_what_is_written_into_them_does_not_reach_the_file(large: Path) -> None:
    tensors.load_file(large)["values"][:] = 7
    np.testing.assert_array_equal(tensors.load_file(large)["values"], ARRAYS["values"])


def test_a_file_cut_short_is_damaged(large: Path) -> None:
    large.write_bytes(large.read_bytes()[:-1])
    with pytest.raises(DamagedArtifact, match=r"values\.safetensors is damaged.*train --force"):
        tensors.load_file(large)
