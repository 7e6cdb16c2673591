"""Every file is bound to its place: what was swapped, rewritten or edited, with checksums that fit, is named by
whatever reads it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars
import pytest
import zarr
from safetensors.numpy import load_file, save_file

from conftest import prepare, trained_seed
from dkvb.deletion import forget
from dkvb.errors import DamagedArtifact
from dkvb.inference.load import load_seed
from dkvb.recipe import Recipe
from dkvb.stages import embed, quantize, train, unlearn
from dkvb.workspace import arrays, hashes, manifest
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.names import COUNTS, CURVE, KEYS, PROJECTION, VALUES


@pytest.fixture(params=["remembered", "first looked at"])
def made(request: pytest.FixtureRequest, recipe: Recipe, workspace: Workspace, cache: Path) -> Workspace:
    """A workspace whose chunks were all hashed before, as is remembered, or none of them."""
    prepare(recipe, workspace)
    if request.param == "remembered":
        for stage in ("embed", "quantize", "train"):
            for artifact in workspace.all(stage):
                for path in artifact.path.rglob("*"):
                    os.utime(path)
                artifact.check(chunks=True)
    return workspace


def folder(workspace: Workspace, stage: str, name: str = "") -> Path:
    return next(one.path for one in workspace.all(stage) if name in one.path.name)


def swap(folder: Path, one: str, other: str) -> None:
    (folder / one).replace(folder / "aside")
    (folder / other).replace(folder / one)
    (folder / "aside").replace(folder / other)


def tensors(file: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    held = {name: np.array(array) for name, array in load_file(file).items()}
    change(held)
    save_file(held, file)


def rewritten(file: Path) -> None:
    """An array rewritten by zarr, all its checksums as they should be."""
    array = zarr.open_array(file, mode="r+")
    array[:] = np.roll(np.asarray(array[:]), 1, 0)


def predict(recipe: Recipe, workspace: Workspace) -> None:
    load_seed(recipe, workspace, 0, "cpu")


def unlearned(recipe: Recipe, workspace: Workspace) -> None:
    models = trained_seed(recipe, workspace)
    models.bottleneck.codes("train")
    for split in ("test", "validation"):
        for codebook in range(models.bottleneck.codebooks):
            models.bottleneck.neighbours(split, codebook)
    models.counts()


def forgotten(recipe: Recipe, workspace: Workspace) -> None:
    forget.run(recipe.with_(unlearn={"method": "votes"}), workspace, ["cat"])


DAMAGE: dict[str, tuple[str, Callable[[Path], None], Callable[[Recipe, Workspace], object], str]] = {
    "two chunks of keys swapped": (
        "quantize",
        lambda at: swap(at, f"{KEYS}/c/3/0/0", f"{KEYS}/c/7/0/0"),
        predict,
        r"content of keys/c/\d/0/0 has changed.*`dkvb quantize` makes it again",
    ),
    "two chunks of codes swapped": (
        "quantize",
        lambda at: swap(at, "train/codes/c/0/3/0", "train/codes/c/0/7/0"),
        unlearned,
        r"content of train/codes/c/0/\d/0 has changed.*`dkvb quantize` makes it again",
    ),
    "two neighbour lists swapped": (
        "quantize",
        lambda at: swap(at, "test/neighbours/c/0/1/0", "test/neighbours/c/0/2/0"),
        unlearned,
        r"content of test/neighbours/c/0/\d/0 has changed.*`dkvb quantize` makes it again",
    ),
    "labels rewritten": (
        "embed",
        lambda at: rewritten(at / "train/labels"),
        forgotten,
        r"content of train/labels/c/0 has changed.*`dkvb embed` makes it again",
    ),
    "the counts of two classes swapped": (
        "train",
        lambda at: swap(at, f"{COUNTS}/c/1/0/0", f"{COUNTS}/c/2/0/0"),
        forgotten,
        r"counts/c/\d/0/0 has .*`dkvb train --force` makes it again",
    ),
    "values edited": (
        "train",
        lambda at: tensors(at / VALUES, lambda held: held["values"].__setitem__((0, 0, 0), 9)),
        predict,
        r"content of values.safetensors has changed.*`dkvb train --force` makes it again",
    ),
    "projection edited": (
        "quantize",
        lambda at: tensors(at / PROJECTION, lambda held: held["projection"].__setitem__((0, 0, 0), 9)),
        predict,
        r"content of projection.safetensors has changed.*makes it again",
    ),
    "a chunk gone": (
        "quantize",
        lambda at: (at / f"{KEYS}/c/3/0/0").unlink(),
        predict,
        r"keys/c/3/0/0 is missing",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_what_reads_it_names_the_file_and_the_remedy(what: str, recipe: Recipe, made: Workspace) -> None:
    stage, damage, read, message = DAMAGE[what]
    damage(folder(made, stage, "dkvb" if stage == "train" else ""))
    with pytest.raises(DamagedArtifact, match=f"(?s){message}") as error:
        read(recipe, made)
    assert error.value.exit_code == 5


def test_swapped_chunks_are_made_again_to_the_same_bits(recipe: Recipe, made: Workspace) -> None:
    codes = next(iter(made.all("quantize")))
    before, content = arrays.read(codes, KEYS), codes.content
    swap(codes.path, f"{KEYS}/c/3/0/0", f"{KEYS}/c/7/0/0")
    [entry] = quantize.run(recipe, made)
    assert not entry.skipped
    again = next(iter(made.all("quantize")))
    np.testing.assert_array_equal(arrays.read(again, KEYS), before)
    assert again.content == content
    assert all(entry.skipped for entry in train.run(recipe, made))


def test_rewritten_labels_are_made_again(recipe: Recipe, made: Workspace) -> None:
    features = next(iter(made.all("embed")))
    before = arrays.read(features, "train/labels")
    rewritten(features.path / "train/labels")
    [entry] = embed.run(recipe, made)
    assert not entry.skipped
    np.testing.assert_array_equal(arrays.read(next(iter(made.all("embed"))), "train/labels"), before)


def test_a_chunk_where_there_was_none_is_found(recipe: Recipe, workspace: Workspace) -> None:
    prepare(recipe, workspace)
    codes = next(iter(workspace.all("quantize")))
    name = f"{KEYS}/c/0/0/0"
    files = {key: of for key, of in codes.manifest["files"].items() if key != name}
    manifest.write(codes.path, codes.manifest | {"files": files})  # as if it had held zeros alone, never written
    codes = next(iter(workspace.all("quantize")))
    with pytest.raises(DamagedArtifact, match="was added since it was written"):
        arrays.read(codes, KEYS)
    assert codes.wrong_files(chunks=True) == {name: f"{name} was added since it was written"}


def test_an_edited_curve_is_named_by_the_report(recipe: Recipe, workspace: Workspace) -> None:
    from dkvb.stages import report

    prepare(recipe, workspace)
    unlearn.run(recipe.with_(unlearn={"forget": ["cat"], "method": ["activations"], "sweep": True}), workspace)
    file = next(workspace.root.glob(f"unlearn/*/{CURVE}"))
    polars.read_parquet(file).with_columns(correct=polars.lit(0)).write_parquet(file)
    with pytest.raises(DamagedArtifact, match=r"content of curve.parquet has changed.*`dkvb unlearn --force`"):
        report.run(recipe, workspace)


def test_hashes_are_remembered_by_what_the_file_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "SETTLED", 0)
    (tmp_path / "a/c").mkdir(parents=True)
    (tmp_path / "a/c/0").write_bytes(b"one")
    first = hashes.Found(tmp_path)
    was = first.of("a/c/0")
    first.save(at_once=True)
    monkeypatch.setattr(hashes, "sha256", lambda path: pytest.fail("it is known"))
    assert hashes.Found(tmp_path).of("a/c/0") == was
    monkeypatch.undo()
    before = (tmp_path / "a/c/0").stat()
    (tmp_path / "a/c/0").write_bytes(b"two")
    os.utime(tmp_path / "a/c/0", ns=(before.st_atime_ns, before.st_mtime_ns))  # ctime tells
    assert hashes.Found(tmp_path).of("a/c/0") != was
