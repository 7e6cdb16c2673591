from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

import oracle
from conftest import artifact_bytes, blobs, prepare
from dkvb.errors import DamagedArtifact, DkvbError, MissingStage, UsageError
from dkvb.evaluation.queries import group_projections, group_queries
from dkvb.recipe import Recipe
from dkvb.runtime import parallel
from dkvb.stages import embed, quantize, train, unlearn
from dkvb.training import codebooks, codes
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.keys_spec import quantize_spec
from dkvb.workspace.requests import need_features
from dkvb.workspace.rows import train_rows


def artifact(recipe: Recipe, workspace: Workspace, seed: int = 0) -> Artifact:
    return workspace.need_spec(quantize_spec(recipe, seed, need_features(recipe, workspace)), "it")


def test_codes_are_the_nearest_keys_of_the_projected_features(embedded: Recipe, workspace: Workspace) -> None:
    quantize.run(embedded, workspace)
    found = artifact(embedded, workspace)
    keys, r = arrays.read(found, "keys"), group_projections(found.path, range(20))
    features = need_features(embedded, workspace)
    for split in ("train", "test"):
        z, codes = arrays.read(features, f"{split}/features"), arrays.read(found, f"{split}/codes")
        assert codes.dtype == np.uint16
        for c in range(20):
            np.testing.assert_array_equal(codes[:, c], oracle.nearest_allowed(z @ r[c], keys[c], 2, None))
    near = arrays.read(found, "test/neighbours")
    np.testing.assert_array_equal(near[:, 3], oracle.nearest_allowed(z @ r[3], keys[3], 6, None))
    kept, aside = train_rows(features, 0.2, 0)
    assert (len(kept), len(aside)) == (256, 64)
    assert arrays.read(found, "validation/neighbours").shape == (64, 20, 6)


def test_keys_are_fitted_without_the_validation_rows(embedded: Recipe, workspace: Workspace) -> None:
    quantize.run(embedded, workspace)
    quantize.run(embedded.with_(data={"validation": 0.5}), workspace)
    one, other = (artifact(embedded.with_(data={"validation": share}), workspace) for share in (0.2, 0.5))
    assert not np.array_equal(arrays.read(one, "keys"), arrays.read(other, "keys"))


def test_seeds_settings_and_inits_make_artifacts_of_their_own(embedded: Recipe, workspace: Workspace) -> None:
    entries = quantize.run(embedded.with_(run={"seeds": [0, 1]}), workspace)
    entries += quantize.run(embedded.with_(keys={"init": "official"}), workspace)
    assert len({entry.artifact for entry in entries}) == 3
    assert quantize.run(embedded, workspace)[0].skipped is True


def test_results_do_not_depend_on_threads(
    embedded: Recipe, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantize.run(embedded, workspace)
    one = Workspace(tmp_path / "one", tmp_path / "reports")
    monkeypatch.setattr(parallel, "cores", lambda: 1)
    embed.run(embedded, one)
    quantize.run(embedded, one)
    assert artifact_bytes(one.root) == artifact_bytes(workspace.root)


@pytest.mark.usefixtures("forked_workers")
def test_results_do_not_depend_on_worker_processes(embedded: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    quantize.run(embedded, workspace)
    two = Workspace(tmp_path / "two", tmp_path / "reports")
    shared = embedded.with_(run={"workers": 2})
    embed.run(shared, two)
    quantize.run(shared, two)
    assert artifact_bytes(two.root) == artifact_bytes(workspace.root)


def test_only_missing_codebooks_are_made(
    embedded: Recipe, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Workspace(tmp_path / "whole", tmp_path / "reports")
    prepare(embedded, whole, embed)
    quantize.run(embedded, whole)
    fitted: list[int] = []
    original = codebooks.fit_keys

    def failing(*args: object, **kwargs: object) -> np.ndarray:
        if len(fitted) >= 9:
            raise KeyboardInterrupt
        fitted.append(1)
        return original(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(codebooks, "fit_keys", failing)
    with pytest.raises(KeyboardInterrupt):
        quantize.run(embedded, workspace)
    assert workspace.all("quantize") == []
    done = len(list(workspace.root.glob("quantize/*/done/*")))
    fitted.clear()
    monkeypatch.setattr(codebooks, "fit_keys", lambda *args, **kwargs: fitted.append(1) or original(*args, **kwargs))
    quantize.run(embedded, workspace)
    assert 0 < done <= 9
    assert len(fitted) == 20 - done
    assert artifact_bytes(workspace.root) == artifact_bytes(whole.root)


def test_a_damaged_codebook_is_found_and_only_it_is_made_again(
    embedded: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(quantize.run(embedded, workspace)[0].artifact)
    before = artifact_bytes(workspace.root)
    chunk = path / "train/codes/c/0/7/0"
    content = bytearray(chunk.read_bytes())
    content[11] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(DamagedArtifact, match="train/codes.*`dkvb quantize` makes it again"):
        arrays.read(artifact(embedded, workspace), "train/codes")
    fitted: list[int] = []
    original = codebooks.fit_keys
    monkeypatch.setattr(codebooks, "fit_keys", lambda *args, **kwargs: fitted.append(1) or original(*args, **kwargs))
    quantize.run(embedded, workspace)
    assert len(fitted) == 1
    assert artifact_bytes(workspace.root) == before


def test_needs_embeddings(recipe: Recipe, workspace: Workspace) -> None:
    with pytest.raises(MissingStage, match="dkvb embed"):
        quantize.run(recipe, workspace)


def test_sample_start_needs_as_many_samples_as_pairs(embedded: Recipe, workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="there are 256: set keys.pairs"):
        quantize.run(embedded.with_(keys={"init": "sample", "pairs": 300, "adapt": False}), workspace)


def test_pairs_and_k_are_adapted_to_few_samples_and_said(
    own_recipe: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs(Path("tiny-data"), train=8, test=8)
    said: list[str] = []
    monkeypatch.setattr(codes.progress, "note", said.append)
    asked = own_recipe.with_(data={"validation": 0.0}, keys={"pairs": 300, "top_k": 10})
    embed.run(asked, workspace)
    (entry,) = quantize.run(asked, workspace)
    assert entry.pairs == 8
    assert entry.note == (
        "keys start at training samples, of which there are 8: that many pairs a codebook instead of 300;"
        " k = 8 instead of 10, since a codebook has no more keys"
    )
    assert any(entry.note in line for line in said)
    kept = artifact(asked, workspace)
    assert (kept.settings["keys"]["pairs"], kept.settings["keys"]["top_k"]) == (8, 8)
    assert "adapt" not in kept.settings["keys"]
    assert arrays.read(kept, "train/codes").shape == (8, 20, 8)
    # settings that fit are the same artifact, adapted or not
    fits = asked.with_(keys={"pairs": 8, "top_k": 8, "adapt": False})
    assert artifact(fits, workspace).fingerprint == kept.fingerprint
    values, _ = train.run(asked, workspace)
    assert values.parameters == 20 * 8 * 4
    chosen = asked.with_(unlearn={"method": ["activations", "retrain-keys"], "forget": ["cat"]})
    masked, oracle = unlearn.run(chosen, workspace)
    assert masked.pairs_total == 20 * 8
    assert oracle.after.forget_train == 0


def test_keys_are_fitted_anew_where_a_purge_left_fewer_samples_than_pairs(
    own_recipe: Recipe, workspace: Workspace
) -> None:
    few = own_recipe.with_(data={"validation": 0.0}, keys={"pairs": 300}, unlearn={"method": "activations"})
    blobs(Path("tiny-data"), train=40, test=8)
    embed.run(few, workspace)
    train.run(few, workspace)
    fingerprint = artifact(few, workspace).fingerprint
    features = need_features(few, workspace)
    labels = zarr.open_array(features.path / "train/labels", mode="r+")
    labels[:] = np.where(labels[:] == 2, -1 - labels[:], labels[:])  # as a purge leaves them
    features.reseal(purged=[2])
    codes.quantize_seed(few, workspace, need_features(few, workspace), 0, force=True)
    again = artifact(few, workspace)
    assert again.fingerprint == fingerprint
    assert arrays.read(again, "keys").shape == (20, 40, 4)
    assert np.isfinite(arrays.read(again, "keys")).all()


def _odd_data(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """The tiny data set with its features changed."""
    for split in ("train", "test"):
        with np.load(folder / f"{split}.npz") as file:
            arrays = dict(file)
        np.savez(folder / f"{split}.npz", **(arrays | {"x": change(arrays["x"]).astype(np.float32)}))


@pytest.mark.parametrize("init", ["official", "sample"])
@pytest.mark.parametrize("kind", ["constant", "duplicated"])
def test_features_that_are_all_alike_or_repeated_are_coded(
    own_recipe: Recipe, workspace: Workspace, init: str, kind: str
) -> None:
    same = {"constant": lambda x: np.ones_like(x), "duplicated": lambda x: x[np.arange(len(x)) % 7]}[kind]
    _odd_data(Path("tiny-data"), same)
    recipe = own_recipe.with_(keys={"init": init})
    embed.run(recipe, workspace)
    entry = quantize.run(recipe, workspace)[0]
    assert np.isfinite(entry.quantisation_error)
    found = artifact(recipe, workspace)
    keys, codes = arrays.read(found, "keys"), arrays.read(found, "train/codes")
    assert np.isfinite(keys).all()
    # equal samples select keys at equal distance, and the k of a row are distinct
    assert (codes[:, :, 0] != codes[:, :, 1]).all()
    z, r = arrays.read(need_features(recipe, workspace), "train/features"), group_projections(found.path, range(20))
    for c in range(20):
        distances = ((z @ r[c])[:, None].astype(np.float64) - keys[c]) ** 2
        chosen = np.take_along_axis(distances.sum(2), codes[:, c].astype(np.int64), 1)
        np.testing.assert_allclose(chosen, np.sort(distances.sum(2), 1)[:, :2], atol=1e-5)


def test_features_far_from_the_origin_get_the_codes_of_their_distances(
    own_recipe: Recipe, workspace: Workspace
) -> None:
    recipe = own_recipe
    _odd_data(Path("tiny-data"), lambda x: x + 1000 * x.std())
    embed.run(recipe, workspace)
    quantize.run(recipe, workspace)
    found = artifact(recipe, workspace)
    keys, codes = arrays.read(found, "keys"), arrays.read(found, "test/codes")
    with parallel.one_thread_per_worker() as pool:
        queries = group_queries(need_features(recipe, workspace), "test", found.path, range(20), pool)
    for c in range(20):
        np.testing.assert_array_equal(codes[:, c], oracle.nearest_allowed(queries[c], keys[c], 2, None))


def test_features_that_are_not_numbers_are_refused(own_recipe: Recipe, workspace: Workspace) -> None:
    _odd_data(Path("tiny-data"), lambda x: np.where(np.arange(x.size).reshape(x.shape) == 30, np.nan, x))
    with pytest.raises(DkvbError, match="NaN"):
        embed.run(own_recipe, workspace)


def test_more_neighbours_than_keys_are_refused(recipe: Recipe) -> None:
    with pytest.raises(UsageError, match="top_k = 40 is more than pairs = 32"):
        recipe.with_(keys={"top_k": 40, "adapt": False})
