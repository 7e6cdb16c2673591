"""Exact forgetting: values equal to the bit to those of a model that never had the rows, in everything that uses it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from typer.testing import CliRunner

import dkvb
from conftest import TOML, blobs, trained_seed
from dkvb.bottleneck.decoder import Decoder, flat_ids, start_values
from dkvb.cli import app
from dkvb.deletion import exact, forget, ledger, purge, receipt, restore, verify
from dkvb.deletion.reinit import Reinit
from dkvb.errors import DamagedArtifact, SettingsClash, UsageError
from dkvb.recipe import Recipe, load
from dkvb.runtime import progress
from dkvb.stages import embed, train
from dkvb.training.loop import Schedule, Unit, fit
from dkvb.workspace import arrays, chosen_samples, request_writing, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.names import VALUES
from dkvb.workspace.requests import need_features
from dkvb.workspace.rows import stored_labels
from dying import purge_killed

BIRD, CAT, DOG = 1, 2, 3


def values_without(
    recipe: Recipe, workspace: Workspace, classes: list[int], rows: np.ndarray | None = None
) -> np.ndarray:
    """Values trained from scratch by the plain loop, on nothing but the rows that stay."""
    seed = trained_seed(recipe, workspace)
    keys, settings, labels = recipe.keys, recipe.train, seed.splits.labels["train"]
    stays = ~np.isin(labels, classes) & ~np.isin(seed.splits.rows["train"], [] if rows is None else rows)
    decoder = Decoder(start_values(settings.values, keys.codebooks, keys.pairs, 4, 0), keys.top_k, settings.pool)
    ids = flat_ids(np.ascontiguousarray(seed.bottleneck.codes("train")[:, stays]), keys.pairs)

    class Direct(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.decoder = decoder

        def forward(self, chosen: torch.Tensor) -> torch.Tensor:
            return self.decoder(chosen)

    fit(Direct(), ids, torch.from_numpy(labels[stays]), Schedule.of(settings), Unit("retrain", 0))
    return decoder.values.detach().numpy().reshape(keys.codebooks, keys.pairs, 4)


def stored_values(recipe: Recipe, workspace: Workspace) -> np.ndarray:
    return load_file(trained_seed(recipe, workspace).dkvb_artifact.path / VALUES)["values"]


def loaded(workspace: Workspace, **more: bool) -> dkvb.Model:
    model = dkvb.load(workspace.root, **more)
    assert isinstance(model, dkvb.Model)
    return model


def held(workspace: Workspace, rows: np.ndarray) -> list[str]:
    """Files that hold one of some rows, by plain search."""
    needles = [row.tobytes() for row in rows if row.any()]
    files = {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}
    return [str(path) for path, raw in files.items() if any(needle in raw for needle in needles)]


def test_a_class_is_forgotten_as_if_it_had_never_been_there(trained: Recipe, workspace: Workspace) -> None:
    before = stored_values(trained, workspace)
    (entry,) = exact.classes(trained, workspace, ["cat"])
    assert (entry.state, entry.level, entry.masked, entry.method) == ("masked", "exact", 0, "retrain")
    assert entry.before.forget_test is not None
    assert entry.before.forget_test > 0.8
    assert entry.after.forget_test == 0
    model = loaded(workspace)
    np.testing.assert_array_equal(model.values, values_without(trained, workspace, [CAT]))
    assert not model.mask.any()
    x = arrays.read(need_features(trained, workspace), "test/features")
    assert not (model(x).argmax(1) == CAT).any()
    assert np.isneginf(model(x)[:, CAT]).all() or model(x).shape[1] == 3
    (verdict,) = verify.run(trained, workspace)
    assert verdict.passed
    assert verdict.oracle.difference.retain is not None
    assert verdict.oracle.difference.retain.difference == 0
    assert exact.classes(trained, workspace, ["cat"])[0].skipped
    # nothing is gone yet
    restored = restore.run(trained, workspace, "r0001")
    assert restored.state == "restored"
    np.testing.assert_array_equal(loaded(workspace).values, before)
    assert not list((workspace.root / "requests").rglob("values*"))
    assert ledger.verify(workspace).valid


@pytest.mark.parametrize("count", [1, 40])
def test_samples_are_forgotten_as_if_they_had_never_been_there(
    count: int, trained: Recipe, workspace: Workspace
) -> None:
    rows = trained_seed(trained, workspace).splits.rows["train"][5 : 5 + count]
    (entry,) = exact.samples(trained, workspace, rows)
    assert entry.samples is not None
    assert (entry.samples.count, entry.names, entry.classes) == (count, [], [])
    assert entry.samples.loss.before < entry.samples.loss.after
    model = loaded(workspace)
    np.testing.assert_array_equal(model.values, values_without(trained, workspace, [], rows))
    assert model(arrays.read(need_features(trained, workspace), "test/features")).shape[1] == 4  # all labels stay
    (verdict,) = verify.run(trained, workspace)
    (check,) = [check for check in verdict.checks if check.name.startswith("samples forgotten")]
    assert check.passed
    assert "equal to the bit" in check.detail
    issued = receipt.run(workspace, "r0001")
    assert (issued.level, issued.samples) == ("exact", count)
    before = stored_values(trained, workspace)
    restore.run(trained, workspace, "r0001")
    np.testing.assert_array_equal(loaded(workspace).values, before)


def test_verify_tells_values_that_know_the_samples(trained: Recipe, workspace: Workspace) -> None:
    rows = trained_seed(trained, workspace).splits.rows["train"][:9]
    exact.samples(trained, workspace, rows)
    request = requests.find(workspace, "r0001")
    known = exact.Retrained(stored_values(trained, workspace), request.values()[1], [], rows, 0.0)
    request_writing.change(request, exact=known.kept_in(request.path, ["r0001-9-samples"]))
    (verdict,) = verify.run(trained, workspace)
    assert not verdict.passed


def test_hidden_exact_and_samples_together(trained: Recipe, workspace: Workspace) -> None:
    votes = trained.with_(unlearn={"method": ["votes"]})
    forget.run(votes, workspace, ["dog"])
    hidden = loaded(workspace)
    exact.classes(votes, workspace, ["cat"])
    rows = trained_seed(trained, workspace).splits.rows["train"][:12]
    exact.samples(votes, workspace, rows)
    model = loaded(workspace)
    np.testing.assert_array_equal(model.values, values_without(trained, workspace, [CAT, DOG], rows))
    assert not model.mask.any()  # values without it need no mask
    (entry,) = forget.run(votes, workspace, ["bird"])  # and one that is hidden on top
    assert entry.after.forget_test == 0
    assert loaded(workspace).mask.sum() == entry.masked
    assert verify.run(votes, workspace)[0].passed
    restore.run(votes, workspace, "r0004")
    # what is hidden below comes back: the others are still exact
    restore.run(votes, workspace, "r0001")
    np.testing.assert_array_equal(loaded(workspace).values, values_without(trained, workspace, [CAT], rows))
    restore.run(votes, workspace, "r0003")
    np.testing.assert_array_equal(loaded(workspace).values, values_without(trained, workspace, [CAT]))
    restore.run(votes, workspace, "r0002")
    np.testing.assert_array_equal(loaded(workspace).values, stored_values(trained, workspace))
    assert not loaded(workspace).mask.any()
    forget.run(votes, workspace, ["dog"])
    np.testing.assert_array_equal(loaded(workspace).mask, hidden.mask)
    assert ledger.verify(workspace).valid


def test_below_an_exact_request_a_hidden_one_waits(trained: Recipe, workspace: Workspace) -> None:
    votes = trained.with_(unlearn={"method": ["votes"]})
    forget.run(votes, workspace, ["dog"])
    hidden = loaded(workspace)
    exact.classes(votes, workspace, ["cat"])
    restore.run(votes, workspace, "r0002")
    np.testing.assert_array_equal(loaded(workspace).values, hidden.values)
    np.testing.assert_array_equal(loaded(workspace).mask, hidden.mask)


def test_pairs_that_nothing_selects_any_more_are_passed_over(recipe: Recipe, workspace: Workspace) -> None:
    unused = recipe.with_(keys={"unused": "mask"})
    for stage in (embed, train):
        stage.run(unused, workspace)
    exact.classes(unused, workspace, ["cat"])
    model = dkvb.load(workspace.root, recipe=unused)
    assert isinstance(model, dkvb.Model)
    seed = trained_seed(unused, workspace)
    stays = seed.splits.labels["train"] != CAT
    for codebook, codes in enumerate(seed.bottleneck.codes("train")):
        assert set(np.flatnonzero(~model.unused[codebook] & ~model.mask[codebook])) == set(
            codes[stays].ravel().tolist()
        )
    assert model.unused.sum() > (seed.counts().sum(0) == 0).sum()
    assert verify.run(unused, workspace)[0].passed


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with an exact request for a class and one for samples above it."""
    progress.silence()
    root = tmp_path_factory.mktemp("exact")
    blobs(root / "tiny-data")
    (root / "tiny.toml").write_text(TOML, encoding="utf-8")
    recipe, workspace = load(str(root / "tiny.toml")), Workspace(root / "data", root / "reports")
    for stage in (embed, train):
        stage.run(recipe, workspace)
    exact.classes(recipe, workspace, ["cat"])
    exact.samples(recipe, workspace, np.array([4, 5, 7, 8]))
    return root


@pytest.fixture
def purgeable(made: Path, workspace: Workspace) -> Recipe:
    shutil.copytree(made / "data", workspace.root)
    return load(str(made / "tiny.toml"))


def test_a_class_is_purged(purgeable: Recipe, workspace: Workspace) -> None:
    original, stood = stored_values(purgeable, workspace), loaded(workspace).values.copy()
    instead = values_without(purgeable, workspace, [CAT])
    features = arrays.read(need_features(purgeable, workspace), "train/features")
    cats = features[stored_labels(need_features(purgeable, workspace), "train") == CAT]
    changed = original[(original != instead).any(2) & original.any(2)]
    assert held(workspace, changed)
    done = purge.run(purgeable, workspace, "r0001")
    assert done.state == "purged"
    assert held(workspace, cats) == held(workspace, changed) == []
    np.testing.assert_array_equal(stored_values(purgeable, workspace), instead)
    np.testing.assert_array_equal(loaded(workspace).values, stood)
    np.testing.assert_array_equal(loaded(workspace, requests=False).values, instead)
    assert not trained_seed(purgeable, workspace).class_counts([CAT]).any()
    assert verify.run(purgeable, workspace)[0].passed
    with pytest.raises(SettingsClash, match="irreversible"):
        restore.run(purgeable, workspace, "r0001")
    restore.run(purgeable, workspace, "r0002")  # the samples come back, the class does not
    np.testing.assert_array_equal(loaded(workspace).values, instead)
    assert receipt.run(workspace, "r0001").level == "exact"
    assert ledger.verify(workspace).valid


def test_samples_are_purged(purgeable: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    rows = np.array([4, 5, 7, 8])
    stood, instead = loaded(workspace).values.copy(), values_without(purgeable, workspace, [], rows)
    stored = arrays.read(need_features(purgeable, workspace), "train/features")
    done = purge.run(purgeable, workspace, "r0002")
    assert done.purge is not None
    assert done.purge.rows.train == 4
    assert held(workspace, stored[rows]) == []
    features = need_features(purgeable, workspace)
    assert features.purged_samples == 4
    assert (np.flatnonzero(stored_labels(features, "train") < 0) == rows).all()
    np.testing.assert_array_equal(arrays.read(features, "train/features")[9:], stored[9:])
    np.testing.assert_array_equal(stored_values(purgeable, workspace), instead)
    np.testing.assert_array_equal(loaded(workspace).values, stood)
    counts = trained_seed(purgeable, workspace).counts()
    kept = trained_seed(purgeable, workspace).splits
    per_class = np.bincount(kept.labels["train"], minlength=4)
    assert (counts.sum((1, 2)) == per_class * 20 * 2).all()
    assert verify.run(purgeable, workspace)[0].passed
    assert dkvb.load(workspace.root)(stored[:3]).shape[0] == 3
    for stage in ("embed", "quantize", "train"):
        for artifact in workspace.all(stage):
            artifact.check()
    with pytest.raises(SettingsClash, match="4 samples were purged"):
        embed.run(purgeable, workspace, force=True)
    np.savez(tmp_path / "again.npz", rows=rows[:1])
    with pytest.raises(UsageError, match="no sample of the"):
        chosen_samples.read(features, tmp_path / "again.npz")
    train.run(purgeable, workspace)  # the linear head knew the samples; it is made again without them


def test_keys_can_be_fitted_anew(purgeable: Recipe, workspace: Workspace) -> None:
    with pytest.raises(SettingsClash, match="purge or restore it first"):
        purge.run(purgeable, workspace, "r0001", Reinit(purgeable, workspace))
    purge.run(purgeable, workspace, "r0002")
    done = purge.run(purgeable, workspace, "r0001", Reinit(purgeable, workspace))
    assert done.purge is not None
    assert done.purge.keys == "reinit"
    np.testing.assert_array_equal(loaded(workspace).values, stored_values(purgeable, workspace))
    assert verify.run(purgeable, workspace)[0].passed


def test_a_hidden_request_is_made_exact_as_it_is_purged(trained: Recipe, workspace: Workspace) -> None:
    votes = trained.with_(unlearn={"method": ["votes"]})
    forget.run(votes, workspace, ["cat"])
    forget.run(votes, workspace, ["dog"])
    done = purge.run(votes, workspace, "r0001", exact=True)
    assert (done.state, done.level) == ("purged", "exact")
    instead = values_without(trained, workspace, [CAT])
    np.testing.assert_array_equal(stored_values(trained, workspace), instead)
    np.testing.assert_array_equal(loaded(workspace).values, instead)
    assert loaded(workspace).about.forgotten == [CAT, DOG]
    assert verify.run(votes, workspace)[0].passed
    # a mask on top of the same values can be erased, in them and in those that stand
    mask = requests.find(workspace, "r0002").mask()
    purge.run(votes, workspace, "r0002")
    assert mask.any()
    assert not stored_values(trained, workspace)[mask].any()
    assert not loaded(workspace).values[mask].any()
    assert "exact" in [entry.event for entry in ledger.verify(workspace).ledger]


def test_a_mask_of_other_values_is_not_erased_by_zeros(trained: Recipe, workspace: Workspace) -> None:
    votes = trained.with_(unlearn={"method": ["votes"]})
    exact.classes(votes, workspace, ["cat"])
    forget.run(votes, workspace, ["dog"])
    with pytest.raises(SettingsClash, match="give --exact"):
        purge.run(votes, workspace, "r0002")
    purge.run(votes, workspace, "r0002", exact=True)
    np.testing.assert_array_equal(stored_values(trained, workspace), values_without(trained, workspace, [DOG]))
    np.testing.assert_array_equal(loaded(workspace).values, values_without(trained, workspace, [CAT, DOG]))


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (60, "r0001"),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((4, "r0001"), (300, "r0001"), (50, "r0002"))),
    ],
)
def test_killed_at_any_instant_a_rerun_ends_it(
    call: int, wanted: str, made: Path, purgeable: Recipe, workspace: Workspace
) -> None:
    stood = loaded(workspace).values.copy()
    cats = wanted == "r0001"
    instead = values_without(purgeable, workspace, [CAT] if cats else [], None if cats else np.array([4, 5, 7, 8]))
    purge_killed(workspace, made / "tiny.toml", wanted, call, "dkvb.deletion.exact")
    assert purge.run(purgeable, workspace, wanted).state == "purged"
    np.testing.assert_array_equal(stored_values(purgeable, workspace), instead)
    np.testing.assert_array_equal(loaded(workspace).values, stood)
    assert not list((workspace.root / "requests").rglob("in-place*"))
    assert ledger.verify(workspace).valid
    for stage in ("embed", "quantize", "train"):
        for artifact in workspace.all(stage):
            artifact.check()


def test_altered_values_are_not_used(purgeable: Recipe, workspace: Workspace) -> None:
    request = requests.find(workspace, "r0002")
    assert request.record.exact is not None
    file = request.path / str(request.record.exact.file)
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(DamagedArtifact, match="trains the values again"):
        dkvb.load(workspace.root)
    restore.run(purgeable, workspace, "r0002")
    np.testing.assert_array_equal(loaded(workspace).values, values_without(purgeable, workspace, [CAT]))


def test_which_samples_a_file_names(trained: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    features = need_features(trained, workspace)
    train_ids, test_ids = (arrays.read(features, f"{split}/ids").tolist() for split in ("train", "test"))
    listed = tmp_path / "ids.csv"
    listed.write_text(f"id,why\n{train_ids[7]},asked\n{train_ids[3]},asked\n\n{train_ids[7]},twice\n")
    assert chosen_samples.read(features, listed).tolist() == [3, 7]
    x = arrays.read(features, "train/features")
    np.savez(tmp_path / "x.npz", x=x[[9, 2]])
    assert chosen_samples.read(features, tmp_path / "x.npz").tolist() == [2, 9]
    np.savez(tmp_path / "rows.npz", rows=[11, 0])
    assert chosen_samples.read(features, tmp_path / "rows.npz").tolist() == [0, 11]
    listed.write_text(f"{train_ids[7]}\nnobody\nnothing\n")
    with pytest.raises(UsageError, match="2 named there are no sample of the training set: nobody, nothing"):
        chosen_samples.read(features, listed)
    for name, more in (("y.npz", {"y": [1]}), ("f.npz", {"rows": [0.5]})):
        np.savez(tmp_path / name, **more)
        with pytest.raises(UsageError, match="cannot be read"):
            chosen_samples.read(features, tmp_path / name)
    np.savez(tmp_path / "test.npz", x=arrays.read(features, "test/features")[:2])
    with pytest.raises(UsageError, match="2 named there are of the test set"):
        chosen_samples.read(features, tmp_path / "test.npz")
    np.savez(tmp_path / "far.npz", rows=[320, 1])
    with pytest.raises(UsageError, match="row 320"):
        chosen_samples.read(features, tmp_path / "far.npz")
    (tmp_path / "none.txt").write_text("\n")
    with pytest.raises(UsageError, match="names no sample"):
        chosen_samples.read(features, tmp_path / "none.txt")
    assert test_ids


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.mark.slow
def test_the_commands(trained: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    os.rename("tiny.toml", "dkvb.toml")
    np.savez("rows.npz", rows=[0, 1, 2])
    plan = json.loads(run("forget", "--samples", "rows.npz", "--plan", "--json"))["forget"][0]
    assert [(cost["level"], cost["possible"]) for cost in plan["costs"]] == [
        ("hidden", False),
        ("erased", False),
        ("exact", True),
    ]
    assert "Three levels of forgetting" in run("forget", "cat", "--plan")
    assert "taken back" in run("forget", "cat", "--plan", "--exact")
    assert not (workspace.root / "requests").exists()
    run("forget", "cat", "--exact", "--na", "5", code=2)
    run("forget", "cat", "--samples", "rows.npz", code=2)
    assert "exact" in run("forget", "cat", "--exact")
    assert "3 samples" in run("forget", "--samples", "rows.npz")
    assert "as if never learned" in run("status")
    assert "never had" in run("verify")
    assert "3 training samples" in Path(json.loads(run("receipt", "r0002", "--json"))["receipt"][0]["page"]).read_text()
    run("export", "exported")
    np.testing.assert_array_equal(load_file("exported/model.safetensors")["values"].shape[2], 3)
    np.savez("new.npz", x=np.random.default_rng(0).standard_normal((5, 12)).astype(np.float32))
    assert "cat" not in run("predict", "new.npz", "--model", "exported")
    assert "erased 3 training and 0 test rows" in run("purge", "r0002", "--yes")
    assert "erased 80 training" in run("purge", "r0001", "--yes")
    run("verify")
