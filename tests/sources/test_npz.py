"""The one reader of .npz files: whatever is wrong with a file, it is one error that names the file, in every use."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import blobs
from dkvb.cli import app
from dkvb.recipe import Recipe
from dkvb.sources.npz import UnreadableFeatures, read_npz
from dkvb.workspace.artifacts import Workspace

WORDS = ["--recipe", "tiny.toml", "--data-dir"]


def whole(path: Path) -> bytes:
    np.savez(path, x=np.ones((30, 12), np.float32), y=np.arange(30) % 4)
    return path.read_bytes()


def not_a_zip(path: Path) -> None:
    path.write_bytes(b"neither zip nor array")


def truncated(path: Path) -> None:
    content = whole(path)
    path.write_bytes(content[: len(content) // 2])


def cut_inside(path: Path) -> None:
    """A member's bytes are gone, and the list at the end is not."""
    content = whole(path)
    path.write_bytes(content[:300] + bytes(400) + content[700:])


def one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones((3, 12)))


def another_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", "text")


BROKEN = {
    "empty": lambda path: path.write_bytes(b""),
    "not a zip": not_a_zip,
    "truncated": truncated,
    "cut inside": cut_inside,
    "one array": one_array,
    "another zip": another_zip,
    "no x": lambda path: np.savez(path, z=np.ones(3)),
    "objects": lambda path: np.savez(path, x=np.array([[{}] * 12], object), y=np.zeros(1, int)),
    "text": lambda path: np.savez(path, x=np.array([["a"] * 12]), y=np.zeros(1, int)),
    "complex": lambda path: np.savez(path, x=np.ones((1, 12), complex), y=np.zeros(1, int)),
    "flat": lambda path: np.savez(path, x=np.ones(12), y=np.zeros(1, int)),
    "no width": lambda path: np.savez(path, x=np.ones((1, 0)), y=np.zeros(1, int)),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_one_error_in_every_use(
    trained: Recipe, workspace: Workspace, tmp_path: Path, kind: str
) -> None:
    bad = tmp_path / "bad.npz"
    BROKEN[kind](bad)
    with pytest.raises(UnreadableFeatures, match=r"bad\.npz: ") as caught:
        read_npz(bad)
    reason = caught.value.reason
    where = [*WORDS, str(workspace.root)]
    proxy = CliRunner().invoke(app, ["unlearn", "--forget", "cat", "--counts", "proxy", "--proxy", str(bad), *where])
    assert (proxy.exit_code, proxy.stderr) == (1, f"error: {bad}: {reason}\n")
    predicted = CliRunner().invoke(app, ["predict", str(bad), "--json", *where])
    assert predicted.exit_code == 1
    assert json.loads(predicted.stdout)["unreadable"] == [{"input": str(bad), "error": reason}]
    blobs(tmp_path / "other")
    bad.rename(tmp_path / "other/train.npz")
    (tmp_path / "other.toml").write_text('[data]\nsource = "features"\npath = "other"\n', encoding="utf-8")
    source = CliRunner().invoke(app, ["embed", "--recipe", "other.toml", "--data-dir", "elsewhere"])
    assert source.exit_code == 1
    assert "other/train.npz: " in source.stderr
    assert "Traceback" not in source.stderr


def test_wherever_a_file_is_cut_or_altered_it_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    content = whole(path)
    sound = np.load(path)["x"]
    rng = np.random.default_rng(0)
    cut = [content[:length] for length in range(0, len(content), 37)]
    altered = []
    for place in rng.integers(0, len(content), 200):
        altered.append(content[:place] + bytes([content[place] ^ int(rng.integers(1, 256))]) + content[place + 1 :])
    refused = 0
    for part in cut + altered:
        path.write_bytes(part)
        try:
            x = read_npz(path, may_have=("y",))["x"]
        except UnreadableFeatures:
            refused += 1
        else:
            assert np.array_equal(x, sound)
    assert refused > len(cut)


def test_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.ones((2, 3), np.float16), y=np.array([1, 0], np.uint8), classes=np.array([b"a", b"b"]))
    arrays = read_npz(path, ("x", "y"), ("classes",))
    assert arrays["x"].dtype == np.float16
    assert arrays["y"].tolist() == [1, 0]
    assert arrays["classes"].tolist() == ["a", "b"]
    assert list(read_npz(path)) == ["x"]
    for changed, says in (
        ({"y": np.ones(3, int)}, r"y has shape \(3,\) and x \(2, 3\)"),
        ({"y": np.array(["a", None], object)}, "names as np.array.names, dtype=str., not dtype=object"),
        ({"classes": np.array([b"caf\xe9"])}, r"the name b'caf\\xe9' .row 0. is not UTF-8"),
        ({"classes": np.arange(2)}, "a list of names"),
    ):
        np.savez(path, **{"x": np.ones((2, 3)), "y": np.ones(2, int), **changed})
        assert list(read_npz(path)) == ["x"], "what is not asked for is not looked at"
        with pytest.raises(UnreadableFeatures, match=says):
            read_npz(path, ("x", "y"), ("classes",))
