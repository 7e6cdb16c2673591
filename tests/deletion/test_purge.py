"""A purge erases what it should and nothing else, ends after being killed, and its scan finds what is planted."""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from safetensors.numpy import load_file, save_file

from conftest import TOML, blobs, trained_seed
from dkvb.deletion import erase, forget, ledger, made_from, purge, restore
from dkvb.deletion.needles import Needles
from dkvb.deletion.reinit import Reinit
from dkvb.deletion.scan import scan
from dkvb.errors import DamagedArtifact, DkvbError, SettingsClash
from dkvb.evaluation.under_masks import masked_logits
from dkvb.recipe import Recipe, load
from dkvb.records.purges import SplitRows
from dkvb.runtime import progress
from dkvb.stages import embed, quantize, train, unlearn
from dkvb.workspace import arrays, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features
from dkvb.workspace.rows import labels, stored_labels
from dying import purge_killed

CAT = 2


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two seeds, a student, a mask and a request for one class."""
    progress.silence()
    root = tmp_path_factory.mktemp("requested")
    blobs(root / "tiny-data")
    (root / "tiny.toml").write_text(TOML + "[run]\nseeds = [0, 1]\n", encoding="utf-8")
    recipe, workspace = load(str(root / "tiny.toml")), Workspace(root / "data", root / "reports")
    for stage in (embed, train):
        stage.run(recipe, workspace)
    chosen = {"forget": ["cat"], "method": ["activations", "scrub"], "na": 60, "counts": "last-epoch"}
    unlearn.run(recipe.with_(unlearn=chosen, run={"seeds": [0]}), workspace)
    forget.run(recipe.with_(unlearn={"method": "activations", "counts": "last-epoch", "na": 60}), workspace, ["cat"])
    return root


@pytest.fixture
def recipe(made: Path) -> Recipe:
    return load(str(made / "tiny.toml"))


@pytest.fixture
def workspace(made: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(made / "data", tmp_path / "data")
    return Workspace(tmp_path / "data", tmp_path / "reports")


def logits(recipe: Recipe, workspace: Workspace) -> dict[str, np.ndarray]:
    """Logits of the retained samples of every split under the requests' mask."""
    models = trained_seed(recipe, workspace)
    mask = requests.forgotten(workspace, models.dkvb_artifact).mask
    order = models.no_mask.copy()
    order[mask] = -1
    splits = models.splits.labels
    return {split: masked_logits(models.bottleneck, order, 0, split)[splits[split] != CAT] for split in splits}


def rows_of_cat(recipe: Recipe, workspace: Workspace) -> np.ndarray:
    features = need_features(recipe, workspace)
    return np.concatenate(
        [
            arrays.read(features, f"{split}/features")[stored_labels(features, split) == CAT]
            for split in ("train", "test")
        ]
    )


def values_of_cat(recipe: Recipe, workspace: Workspace) -> np.ndarray:
    models = trained_seed(recipe, workspace)
    mask = requests.forgotten(workspace, models.dkvb_artifact).mask
    return models.bottleneck.values[mask]


def held(workspace: Workspace, rows: np.ndarray) -> list[str]:
    """Files that hold one of some rows, by plain search."""
    needles = [row.tobytes() for row in rows if row.any()]
    files = {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}
    return [str(path) for path, raw in files.items() if any(needle in raw for needle in needles)]


def test_everything_of_the_class_is_gone_and_the_rest_keeps_its_bits(recipe: Recipe, workspace: Workspace) -> None:
    rows, values, before = rows_of_cat(recipe, workspace), values_of_cat(recipe, workspace), logits(recipe, workspace)
    assert held(workspace, rows)
    assert held(workspace, values)
    done = purge.run(recipe, workspace, "r0001")
    assert done.state == "purged"
    assert done.purge is not None
    assert done.purge.rows == SplitRows(train=80, test=30)
    assert held(workspace, rows) == held(workspace, values) == []
    after = logits(recipe, workspace)
    for split, was in before.items():
        np.testing.assert_array_equal(was, after[split], err_msg=split)
    features = need_features(recipe, workspace)
    assert (labels(features, "train") == CAT).sum() == 80
    assert (stored_labels(features, "train") == CAT).sum() == 0
    models = trained_seed(recipe, workspace)
    assert not any((models.splits.labels[split] == CAT).any() for split in ("train", "validation", "test"))
    assert not models.class_counts([CAT]).any()
    codes = arrays.read(models.bottleneck.codes_artifact, "train/codes")
    assert not codes[labels(features, "train") == CAT].any()
    assert not models.linear["weight"][CAT].any()
    # the other seed's model still knew the class; so did the student
    names = [artifact.path.name for stage in ("train", "unlearn") for artifact in workspace.all(stage)]
    assert not any("dkvb-seed1" in name or "scrub-cat" in name for name in names)
    assert any("activations-cat" in name for name in names)
    assert not list(workspace.root.rglob(".tmp-*"))
    assert not (requests.all_requests(workspace)[0].path / "staging").exists()
    assert [entry.event for entry in ledger.verify(workspace).ledger] == ["masked", "purged"]


def test_every_stage_goes_on_afterwards(recipe: Recipe, workspace: Workspace) -> None:
    purge.run(recipe, workspace, "r0001")
    assert embed.run(recipe, workspace)[0].skipped
    with pytest.raises(SettingsClash, match="bring them back"):
        embed.run(recipe, workspace, force=True)
    with pytest.raises(SettingsClash, match="--keys reinit"):
        quantize.run(recipe, workspace, force=True)
    assert [e.skipped for e in train.run(recipe, workspace)][:2] == [True, True]
    entries = unlearn.run(
        recipe.with_(unlearn={"forget": ["dog"], "method": ["activations", "scrub"]}, run={"seeds": [0]}), workspace
    )
    assert all(entry.after.retain_test > 0.5 for entry in entries)
    second = forget.run(recipe.with_(unlearn={"method": "activations", "na": 60}), workspace, ["dog"])[0]
    done = purge.run(recipe, workspace, second.request)
    assert done.purge.rows == SplitRows(train=80, test=30)  # type: ignore[union-attr]


def test_twice_restore_and_restored(recipe: Recipe, workspace: Workspace) -> None:
    opened = forget.run(recipe.with_(unlearn={"method": "activations", "na": 60}), workspace, ["dog"])[0].request
    restore.run(recipe, workspace, opened)
    with pytest.raises(SettingsClash, match="was restored"):
        purge.run(recipe, workspace, opened)
    purge.run(recipe, workspace, "r0001")
    assert purge.run(recipe, workspace, "r0001").skipped
    with pytest.raises(SettingsClash, match="irreversible"):
        restore.run(recipe, workspace, "r0001")


def test_keys_can_be_fitted_anew(recipe: Recipe, workspace: Workspace) -> None:
    was = trained_seed(recipe, workspace).bottleneck.keys
    rows = rows_of_cat(recipe, workspace)
    done = purge.run(recipe, workspace, "r0001", Reinit(recipe, workspace))
    assert done.purge is not None
    assert done.purge.keys == "reinit"
    assert done.masked == 0
    assert done.masked_at_first == 60
    models = trained_seed(recipe, workspace)
    assert not np.array_equal(was, models.bottleneck.keys)
    result = models.dkvb_artifact.result
    assert result["tested"][CAT] == 0
    assert result["test"] > 0.9
    assert held(workspace, rows) == []


@pytest.mark.parametrize(
    "stopped", ["dkvb.deletion.reinit.train.run", "dkvb.deletion.reinit.request_writing.write_mask"]
)
def test_stopped_while_keys_are_fitted_anew_a_rerun_ends_it(
    stopped: str, recipe: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(stopped, full)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            purge.run(recipe, workspace, "r0001", Reinit(recipe, workspace))
    assert purge.plan(workspace, "r0001").keys == "reinit"
    with pytest.raises(SettingsClash, match="--keys reinit"):
        purge.run(recipe, workspace, "r0001")
    done = purge.run(recipe, workspace, "r0001", Reinit(recipe, workspace))
    assert (done.state, done.masked, done.masked_at_first) == ("purged", 0, 60)
    assert trained_seed(recipe, workspace).dkvb_artifact.result["tested"][CAT] == 0


def test_reinit_needs_other_requests_closed(recipe: Recipe, workspace: Workspace) -> None:
    forget.run(recipe.with_(unlearn={"method": "activations", "na": 60}), workspace, ["dog"])
    with pytest.raises(SettingsClash, match="purge or restore it first"):
        purge.run(recipe, workspace, "r0001", Reinit(recipe, workspace))
    assert requests.find(workspace, "r0001").state == "masked"


def _npz(path: Path, row: np.ndarray) -> None:
    np.savez_compressed(path, x=np.stack([row * 0, row]))


def _half(path: Path, row: np.ndarray) -> None:
    path.write_bytes(b"abc" + row.astype("<f2").tobytes() + b"z")


PLANTED: dict[str, Any] = {
    ".tmp-1-stray": lambda path, row: path.write_bytes(b"x" * 13 + row.tobytes()),
    "half.bin": _half,
    "double.bin": lambda path, row: path.write_bytes(row.astype("<f8").tobytes()),
    "packed.npz": _npz,
    "packed.gz": lambda path, row: path.write_bytes(gzip.compress(b"1" + row.tobytes())),
    "old.safetensors": lambda path, row: save_file({"v": row[None]}, path),
    "table.parquet": lambda path, row: polars.DataFrame({"x": row}).write_parquet(path),
    "lists.parquet": lambda path, row: polars.DataFrame({"x": [row.tolist()]}).write_parquet(path),
    "chart.json": lambda path, row: path.write_text(json.dumps({"n": 3, "x": row.tolist()})),
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_scan_finds_a_planted_row(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((50, 12)).astype(np.float32)
    needles = Needles.of(rows)
    folder = tmp_path / "planted"
    folder.mkdir()
    (folder / "other.bin").write_bytes(rng.standard_normal(5000).astype(np.float32).tobytes())
    assert scan([folder], needles).found == {}
    PLANTED[name](folder / name, rows[7])
    assert scan([folder], needles).found == {str(folder / name): 1}


def test_the_scan_finds_a_row_across_the_border_of_two_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dkvb.deletion.needles.BLOCK", 64)
    row = np.random.default_rng(0).standard_normal((1, 12)).astype(np.float32)
    needles = Needles.of(row)
    for place in range(130):
        assert needles.found_in(bytes(place) + row.tobytes()) == {0}, place


def test_a_purge_fails_where_a_copy_lies_and_ends_once_it_is_gone(recipe: Recipe, workspace: Workspace) -> None:
    stray = workspace.reports / "data" / "stray.bin"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"0" + rows_of_cat(recipe, workspace)[3].tobytes())
    with pytest.raises(DkvbError, match=r"stray\.bin"):
        purge.run(recipe, workspace, "r0001")
    with pytest.raises(DamagedArtifact, match="dkvb purge r0001-cat --yes"):
        need_features(recipe, workspace)
    stray.unlink()
    assert purge.run(recipe, workspace, "r0001").state == "purged"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_disk_that_refuses_stops_it_and_a_rerun_ends_it(
    code: int, recipe: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, before = rows_of_cat(recipe, workspace), logits(recipe, workspace)
    replace, calls = erase.replace, iter(range(10**6))

    def refusing(path: Path, new: Path) -> None:
        if next(calls) == 30:
            raise OSError(code, os.strerror(code), str(path))
        replace(path, new)

    with monkeypatch.context() as patched:
        patched.setattr(erase, "replace", refusing)
        with pytest.raises(OSError, match=os.strerror(code)):
            purge.run(recipe, workspace, "r0001")
    _ended(recipe, workspace, rows, before)


def _ended(recipe: Recipe, workspace: Workspace, rows: np.ndarray, before: dict[str, np.ndarray]) -> None:
    assert purge.run(recipe, workspace, "r0001").state == "purged"
    assert held(workspace, rows) == []
    for split, after in logits(recipe, workspace).items():
        np.testing.assert_array_equal(before[split], after, err_msg=split)
    assert ledger.verify(workspace).valid
    every = [one for stage in ("embed", "quantize", "train", "unlearn") for one in workspace.all(stage)]
    assert [one.wrong_files(chunks=True, afresh=True) for one in every] == [{}] * len(every)
    assert made_from.unfit(workspace) == []


SLOW = [3, 300, *(int(n) for n in np.random.default_rng(7).integers(2, 600, 20))]


@pytest.mark.parametrize("call", [40, 600, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])
def test_killed_at_any_instant_a_rerun_ends_it(call: int, made: Path, recipe: Recipe, workspace: Workspace) -> None:
    rows, before = rows_of_cat(recipe, workspace), logits(recipe, workspace)
    purge_killed(workspace, made / "tiny.toml", "r0001", call)
    _ended(recipe, workspace, rows, before)


def test_values_are_zero_and_the_others_untouched(recipe: Recipe, workspace: Workspace) -> None:
    path = trained_seed(recipe, workspace).dkvb_artifact.path / "values.safetensors"
    before, mask = load_file(path)["values"], requests.all_requests(workspace)[0].mask()
    purge.run(recipe, workspace, "r0001")
    after = load_file(path)["values"]
    assert not after[mask].any()
    assert np.array_equal(before[~mask], after[~mask])
