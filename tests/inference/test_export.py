"""Exports: the same bits as the model, nothing of masked pairs, all or nothing on disk, and usable with torch alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file
from typer.testing import CliRunner

import dkvb
import forked
from conftest import CLASSES, prepare
from dkvb.cli import app
from dkvb.errors import DamagedArtifact, DkvbError, SettingsClash, UsageError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.inference import export, export_about
from dkvb.inference.bottleneck_model import Model
from dkvb.recipe import Encoder, Recipe, load
from dkvb.records.purges import PurgeBegun
from dkvb.workspace import request_writing, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features

PLAIN = Path(__file__).resolve().parents[2] / "docs/plain_torch.py"


def trained(recipe: Recipe, workspace: Workspace) -> tuple[Model, torch.Tensor]:
    prepare(recipe, workspace)
    models = TrainedSeed(recipe, workspace, need_features(recipe, workspace), recipe.run.seeds[0])
    return dkvb.load(workspace.root), torch.from_numpy(models.splits.features_of("test"))


def plain(folder: Path, x: torch.Tensor) -> torch.Tensor:
    """Logits by the example of the docs, in a process that cannot import dkvb."""
    save_file({"x": x}, folder.with_name("x.safetensors"))
    words = [str(PLAIN), str(folder), "x.safetensors", "out.safetensors"]
    done = forked.call(forked.without, ("dkvb", "faiss"), words, folder=folder.parent)
    assert done.end() == 0, done.said
    return torch.from_numpy(load_file(folder.with_name("out.safetensors"))["logits"])


@pytest.mark.parametrize(("top_k", "pool", "unused"), [(1, "sum", "keep"), (3, "mean", "mask")])
def test_logits_are_equal_to_the_bit(
    recipe: Recipe, workspace: Workspace, tmp_path: Path, top_k: int, pool: str, unused: str
) -> None:
    model, x = trained(recipe.with_(keys={"top_k": top_k, "unused": unused}, train={"pool": pool}), workspace)
    few = np.random.default_rng(1).random(model.mask.shape) < 0.4
    few[0], few[1], few[2] = True, False, False  # none left; all left
    few[2, 3] = True  # one
    few[3], few[3, 7] = True, False  # fewer than k
    masked = model.masked(few & ~model.unused, [2])
    with_labels = model.masked(few & ~model.unused, [2], keep_labels=True)
    for name, one, kept in (
        ("whole", model, [0, 1, 2, 3]),
        ("masked", masked, [0, 1, 3]),
        ("labels", with_labels, [0, 1, 2, 3]),
    ):
        export.run(one, tmp_path / name, workspace)
        again = dkvb.load(tmp_path / name)
        expected = one(x)[:, kept]
        assert expected.isfinite().all()
        assert torch.equal(again(x), expected)
        assert np.array_equal(again.mask, one.mask)
        assert np.array_equal(again.unused | again.mask, one.unused | one.mask)
        if name != "whole":
            assert torch.equal(plain(tmp_path / name, x), expected)
        assert again.classes == [CLASSES[c] for c in kept]
        assert again.values.shape[2] == len(kept)
        assert again.about.ids == kept
        assert again.about.forgotten == one.about.forgotten


def test_masked_pairs_are_not_in_the_folder(recipe: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    model, x = trained(recipe, workspace)
    new = dkvb.unlearn(model, "cat", 200)
    export.run(new, tmp_path / "out", workspace)
    content = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    mask = new.mask
    for rows in (model.keys, model.values[:, :, [0, 1, 3]]):
        gone = [row.tobytes() for row in rows[mask]]
        assert len(gone) >= 200
        assert not any(row in content for row in gone)
        assert any(row.tobytes() in content for row in rows[~mask])  # the search can find a row
    # unlearning goes on from an export, with data
    again = dkvb.load(tmp_path / "out")
    with pytest.raises(UsageError, match="give features"):
        dkvb.unlearn(again, "dog", 10)
    labels = np.arange(len(x)) % 4
    with pytest.raises(UsageError, match=r"labels has 3, and this model has 3 classes"):
        dkvb.unlearn(again, "dog", 50, features=x, labels=labels)  # ids of the data set
    more = dkvb.unlearn(again, "dog", 50, features=x[labels == 3])
    places = np.where(labels == 3, 2, 0)
    assert np.array_equal(dkvb.unlearn(again, "dog", 50, features=x, labels=places).mask, more.mask)
    assert more.mask.sum() == again.mask.sum() + 50
    assert more.about.forgotten == [2, 3]
    assert set(more(x).argmax(1).tolist()) == {0, 1}


@pytest.mark.parametrize("keys", ["keep", "reinit"])
def test_a_purged_model_exports_without_its_pairs(
    recipe: Recipe, workspace: Workspace, tmp_path: Path, keys: str
) -> None:
    model, x = trained(recipe, workspace)
    common = ["--recipe", "tiny.toml", "--data-dir", str(workspace.root)]
    for words in (
        ["forget", "cat", "--na", "150"],
        ["export", "before"],
        ["purge", "r0001", "--yes", "--keys", keys],
        ["export", "after"],
    ):
        result = CliRunner().invoke(app, [*words, *common])
        assert result.exit_code == 0, result.output
    before, after = dkvb.load("before"), dkvb.load("after")
    assert torch.equal(after(x), dkvb.load(workspace.root)(x)[:, [0, 1, 3]])
    assert dkvb.load(workspace.root)(x)[:, 2].isneginf().all()
    assert after.about.forgotten == [2]
    assert after.classes == ["airplane", "bird", "dog"]
    config = json.loads(Path("after/config.json").read_text())
    (left_out,) = config["left_out"]
    assert left_out["mask_alone"] is None  # its samples are gone
    assert all(share > 0.5 for share in config["accuracy"]["now"])
    content, gone = Path("after/model.safetensors").read_bytes(), before.mask
    assert gone.sum() == 150
    assert not any(row.tobytes() in content for row in model.values[gone])
    card = Path("after/README.md").read_text()
    unmasked = dkvb.load(workspace.root, requests=False)
    if keys == "keep":
        assert torch.equal(after(x), before(x))
        assert (unmasked.mask == gone).all()  # what is purged cannot be had without its mask
        assert "150 of 640 pairs" in card
    else:
        assert not after.mask.any()
        assert "No pair is masked" in card
        assert "As trained, without what is forgotten" in card


def test_no_model_is_loaded_from_a_purge_cut_short(recipe: Recipe, workspace: Workspace) -> None:
    trained(recipe, workspace)
    common = ["--recipe", "tiny.toml", "--data-dir", str(workspace.root)]
    assert CliRunner().invoke(app, ["forget", "cat", *common]).exit_code == 0
    (request,) = requests.all_requests(workspace)
    with requests.held(workspace):
        rows = {"train": 1, "test": 1}
        begun = PurgeBegun.model_validate(
            {"stage": "erase", "keys": "keep", "started": "now", "rows": rows, "shared_rows": 0, "before_sha256": ""}
            | {"together": [request.id]}
        )
        request_writing.change(request, purging=begun)
    with pytest.raises(DamagedArtifact, match="dkvb purge r0001-cat --yes"):
        dkvb.load(workspace.root)


def test_a_single_masked_key_cannot_be_worked_out_from_the_others(
    recipe: Recipe, workspace: Workspace, tmp_path: Path
) -> None:
    model, x = trained(recipe, workspace)
    single = np.zeros(model.mask.shape, bool)
    single[6, 4] = True
    new = model.masked(single)
    export.run(new, tmp_path / "out", workspace)
    tensors = load_file(tmp_path / "out/model.safetensors")
    keys, key = tensors["keys"][6], model.keys[6, 4]

    def worked_out(centre: np.ndarray) -> np.ndarray:
        return len(keys) * centre.astype(np.float64) - keys.sum(0, dtype=np.float64)

    assert np.allclose(worked_out(model.centre[6]), key, atol=1e-4)
    assert not np.allclose(worked_out(tensors["centre"][6]), key, atol=1e-2)
    assert torch.equal(dkvb.load(tmp_path / "out")(x), new(x))


def test_what_the_folder_says(recipe: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    model, x = trained(recipe, workspace)
    new = dkvb.unlearn(model, "cat", 250)
    entry = export.run(new, tmp_path / "deep/out", workspace)
    folder = tmp_path / "deep/out"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "labels.json",
        "model.safetensors",
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["out"]
    config = json.loads((folder / "config.json").read_text())
    assert config["shapes"] == {"codebooks": 20, "pairs": 32, "dim": 4, "width": 12, "classes": 3}
    assert (config["top_k"], config["pool"], config["forgotten"], config["masked"]) == (2, "mean", [2], 250)
    assert config["encoder"] is None
    assert json.loads((folder / "labels.json").read_text()) == {"0": "airplane", "1": "bird", "2": "dog"}
    assert (config["classes"], config["ids"]) == (["airplane", "bird", "dog"], [0, 1, 3])
    of = np.arange(len(x)) % 4
    right, alone = (logits.argmax(1).numpy() == of for logits in (new(x), new.mask_alone(x)))
    assert config["accuracy"]["now"] == pytest.approx([right[c::4].mean() for c in (0, 1, 3)])
    assert entry.test == config["accuracy"]["now"]
    trained_share = model.about.accuracy["per_class_test"]
    assert config["accuracy"]["per_class_test"] == [trained_share[c] for c in (0, 1, 3)]
    left_out = {"id": 2, "name": "cat", "trained": trained_share[2], "mask_alone": pytest.approx(alone[2::4].mean())}
    assert config["left_out"] == [left_out]
    assert [out.model_dump() for out in entry.left_out] == [left_out]
    card = (folder / "README.md").read_text()
    for text in (
        "cat (forgotten)",
        "250 of 640 pairs",
        "not claimed",
        "frozen encoder is untouched",
        f"With the mask alone, {100 * alone[2::4].mean():.1f}% of the test samples of cat",
        f"| cat (forgotten) | {100 * trained_share[2]:.1f}% | never answered |",
        f"| dog | {100 * trained_share[3]:.1f}% | {100 * right[3::4].mean():.1f}% |",
    ):
        assert text in card
    assert str(tmp_path) not in card + json.dumps(config)


def test_a_folder_in_use_is_left_alone(recipe: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    model, x = trained(recipe, workspace)
    folder = tmp_path / "out"
    folder.mkdir()
    export.run(model, folder, workspace)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    new = dkvb.unlearn(model, "dog", 100)
    with pytest.raises(UsageError, match="--force"):
        export.run(new, folder, workspace)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "mine.txt").write_text("mine")
    export.run(new, folder, workspace, force=True)
    assert torch.equal(dkvb.load(folder)(x), new(x)[:, :3])
    assert (folder / "mine.txt").read_text() == "mine"
    with pytest.raises(UsageError, match="is a file"):
        export.run(new, folder / "mine.txt", workspace)


def test_a_failure_leaves_nothing(
    recipe: Recipe, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = trained(recipe, workspace)

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    leftover = tmp_path / "to/.tmp-export-out"
    leftover.mkdir(parents=True)
    (leftover / "half").write_text("of a killed run")
    with monkeypatch.context() as patch:
        patch.setattr(export, "write_json", full)
        with pytest.raises(OSError, match="space"):
            export.run(model, tmp_path / "to/out", workspace)
    assert list((tmp_path / "to").iterdir()) == []
    export.run(model, tmp_path / "to/out", workspace)
    assert not (tmp_path / "to/out/half").exists()


def test_damage_is_found(recipe: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    model, _ = trained(recipe, workspace)
    folder = tmp_path / "out"
    export.run(model, folder, workspace)
    config = json.loads((folder / "config.json").read_text())
    weights = folder / "model.safetensors"
    sound = weights.read_bytes()
    weights.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    with pytest.raises(DamagedArtifact, match="changed since"):
        dkvb.load(folder)
    weights.write_bytes(sound)
    for change, error, match in (
        ({"format": 99}, SettingsClash, "upgrade"),
        ({"kind": "other"}, UsageError, "not written by"),
        ({"kind": None}, UsageError, "not written by"),
        ({"top_k": None}, DamagedArtifact, "damaged"),
    ):
        (folder / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(error, match=match):
            dkvb.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(DamagedArtifact, match="damaged"):
        dkvb.load(folder)
    (folder / "config.json").unlink()  # as a run killed while it replaced an export leaves it
    with pytest.raises(DamagedArtifact, match="damaged"):
        dkvb.load(folder)


def test_an_encoder_travels_without_the_place_of_its_weights(workspace: Workspace, tmp_path: Path) -> None:
    recipe = load("digits").with_(
        keys={"codebooks": 8, "pairs": 16, "epochs": 1}, train={"epochs": 1}, linear={"epochs": 1}
    )
    model, x = trained(recipe, workspace)
    export.run(model, tmp_path / "out", workspace)
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["encoder"]["name"] == "pixels"
    assert "deviation" in config["transform"]
    from dkvb.sources.opening import open_source

    split = open_source(recipe.data).splits["test"]
    images = [split.read(row) for row in range(5)]  # type: ignore[union-attr]
    assert torch.equal(dkvb.load(tmp_path / "out").images(images), model(x[:5]))
    own, tagged = "/somewhere/of/mine/net.pth", "IMAGENET1K_V2"
    portable = [export_about.portable(Encoder(name="resnet50", weights=weights)) for weights in (own, tagged, None)]
    assert [encoder["weights"] for encoder in portable if encoder] == ["net.pth", tagged, None]


def test_the_command(recipe: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    model, x = trained(recipe, workspace)
    common = ["--recipe", "tiny.toml", "--data-dir", str(workspace.root)]
    result = CliRunner().invoke(app, ["export", "out", *common, "--json"])
    assert result.exit_code == 0, result.output
    (entry,) = json.loads(result.stdout)["export"]
    assert entry["path"] == str(tmp_path / "out")
    assert torch.equal(dkvb.load("out")(x), model(x))
    assert CliRunner().invoke(app, ["export", "out", *common]).exit_code == 2
    done = CliRunner().invoke(
        app, ["unlearn", "--forget", "cat", "--method", "activations", "--method", "scrub", *common, "--json"]
    )
    unlearned, student = (entry["artifact"] for entry in json.loads(done.stdout)["unlearn"])
    result = CliRunner().invoke(app, ["export", "out", "--from", unlearned, "--force", *common])
    assert result.exit_code == 0
    assert "without cat (150 pairs left out)" in " ".join(result.stdout.split())
    assert dkvb.load("out").mask.sum() == 150
    assert CliRunner().invoke(app, ["export", "other", "--model", student, *common]).exit_code == 2
    nothing = CliRunner().invoke(app, ["export", "other", "--recipe", "tiny.toml", "--data-dir", "empty"])
    assert nothing.exit_code == 3
    assert "dkvb embed" in nothing.stderr


def test_an_export_goes_through_another_export(recipe: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    model, x = trained(recipe, workspace)
    one = dkvb.unlearn(model, "bird", 100)
    export.run(one, tmp_path / "one", workspace)
    again = dkvb.load(tmp_path / "one")
    two = dkvb.unlearn(again, "dog", 100, features=x[3::4])
    export.run(two, tmp_path / "two", workspace)
    last = dkvb.load(tmp_path / "two")
    assert (last.classes, last.about.ids, last.about.forgotten) == (["airplane", "cat"], [0, 2], [1, 3])
    assert torch.equal(last(x), two(x)[:, [0, 1]])
    config = json.loads((tmp_path / "two/config.json").read_text())
    of, alone = np.arange(len(x)) % 4, two.mask_alone(x).argmax(1).numpy()
    assert [out["name"] for out in config["left_out"]] == ["bird", "dog"]
    assert config["left_out"][1]["mask_alone"] == pytest.approx((alone == 2)[of == 3].mean())
    right = np.array([0, 2])[last(x).argmax(1)] == of
    assert config["accuracy"]["now"] == pytest.approx([right[0::4].mean(), right[2::4].mean()])
    with pytest.raises(UsageError, match="has no logits of bird, dog"):
        dkvb.load(tmp_path / "two", keep_labels=True)
    with pytest.raises(UsageError, match="All 2 classes"):
        dkvb.unlearn(last, ["cat", "airplane"], 10, features=x)


def test_an_export_of_version_0_1_loads(recipe: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    """It has a logit of every class, forgotten ones too, and says nothing of ids and labels."""
    model, x = trained(recipe, workspace)
    new = dkvb.unlearn(model, "cat", 250, keep_labels=True)
    export.run(new, tmp_path / "out", workspace)
    config = json.loads((tmp_path / "out/config.json").read_text())
    for key in ("ids", "left_out", "keep_labels"):
        del config[key]
    (tmp_path / "out/config.json").write_text(json.dumps(config | {"format": 1}))
    assert torch.equal(dkvb.load(tmp_path / "out", keep_labels=True)(x), new(x))
    old = dkvb.load(tmp_path / "out")
    assert old.classes == CLASSES
    assert old(x)[:, 2].isneginf().all()
    assert torch.equal(old.mask_alone(x), new(x))


def test_a_logit_mask_beside_a_forgotten_class(recipe: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    """What is excluded keeps its logit, at its new place."""
    model, x = trained(recipe, workspace)
    about = replace(model.about, excluded=[3])
    both = Model(about, model.weights, model.mask, model.top_k, model.pool).masked(model.mask, [1])
    export.run(both, tmp_path / "out", workspace)
    assert json.loads((tmp_path / "out/config.json").read_text())["excluded"] == [2]
    again = dkvb.load(tmp_path / "out")
    assert again(x)[:, 2].isneginf().all()
    assert torch.equal(again(x), both(x)[:, [0, 2, 3]])
    assert torch.equal(plain(tmp_path / "out", x), again(x))


def test_the_example_is_short_and_alone() -> None:
    text = PLAIN.read_text()
    assert len(text.splitlines()) <= 60
    imported = {line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert imported == {"json", "sys", "pathlib", "torch", "safetensors"}
    with pytest.raises(DkvbError, match="nowhere"):
        dkvb.load("nowhere")
