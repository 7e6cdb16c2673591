"""Predicting images, folders and features: the classes of the model, in the order asked, with what cannot be read
named."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import dkvb
from conftest import CLASSES, prepare
from dkvb.cli import app
from dkvb.errors import DkvbError, UsageError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.inference import predict
from dkvb.recipe import Recipe, load
from dkvb.runtime import progress
from dkvb.sources.opening import open_source
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features
from scenario import RECIPE as DIGITS


def trained(recipe: Recipe, workspace: Workspace) -> TrainedSeed:
    prepare(recipe, workspace)
    return TrainedSeed(recipe, workspace, need_features(recipe, workspace), recipe.run.seeds[0])


@pytest.fixture
def models(recipe: Recipe, workspace: Workspace) -> TrainedSeed:
    return trained(recipe, workspace)


@pytest.fixture
def digits(workspace: Workspace, tmp_path: Path) -> TrainedSeed:
    """A model of the digits, and 12 of them as files in folders."""
    recipe = load("digits").with_(
        keys={"codebooks": 8, "pairs": 16, "epochs": 1}, train={"epochs": 1}, linear={"epochs": 1}
    )
    split = open_source(recipe.data).splits["test"]
    for row in range(12):
        path = tmp_path / f"pictures/{row % 2}/{row:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        split.read(row).save(path)  # type: ignore[union-attr]
    return trained(recipe, workspace)


def invoke(models: TrainedSeed, *words: str, recipe: str = "tiny.toml") -> Any:
    return CliRunner().invoke(app, ["predict", *words, "--recipe", recipe, "--data-dir", str(models.workspace.root)])


def test_features_get_the_models_classes(models: TrainedSeed, tmp_path: Path) -> None:
    x = models.splits.features_of("test")
    np.savez(tmp_path / "new.npz", x=x.astype(np.float64))
    result = invoke(models, "new.npz", "--top", "3", "--json")
    assert result.exit_code == 0
    entries = json.loads(result.stdout)["predict"]
    logits = dkvb.load(models.workspace.root)(torch.from_numpy(x))
    assert [entry["input"] for entry in entries] == [f"new.npz[{row}]" for row in range(len(x))]
    assert [entry["id"] for entry in entries] == logits.argmax(1).tolist()
    probabilities = logits.double().softmax(1).sort(1, descending=True).values[:, :3]
    assert np.allclose([[at["probability"] for at in entry["top"]] for entry in entries], probabilities)
    for entry in entries:
        assert entry["class"] == CLASSES[entry["id"]] == entry["top"][0]["class"]
        assert entry["probability"] == entry["top"][0]["probability"]


def test_more_than_all_classes_lists_all(models: TrainedSeed, tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", x=np.zeros((1, 12)))
    (entry,) = json.loads(invoke(models, "one.npz", "--top", "9", "--json").stdout)["predict"]
    assert sum(at["probability"] for at in entry["top"]) == pytest.approx(1)
    assert sorted(at["id"] for at in entry["top"]) == [0, 1, 2, 3]
    assert invoke(models, "one.npz", "--top", "0").exit_code == 2


def test_images_and_folders_get_the_same_as_when_embedded(digits: TrainedSeed) -> None:
    model = dkvb.load(digits.workspace.root)
    expected = model(torch.from_numpy(digits.splits.features_of("test"))[:12])
    result = predict.run(model, [Path("pictures/1/03.png"), Path("pictures"), Path("pictures/0/02.png")], top=10)
    rows = [3, 0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11, 2]
    assert [int(Path(entry.input).stem) for entry in result.predict] == rows
    probabilities = expected.double().softmax(1)
    for entry, row in zip(result.predict, rows, strict=True):
        assert entry.id == expected[row].argmax()
        assert {at.id: at.probability for at in entry.top} == pytest.approx(
            dict(enumerate(probabilities[row].tolist()))
        )
    assert result.unreadable == []


def test_what_cannot_be_read_is_named_after_the_rest(digits: TrainedSeed, tmp_path: Path) -> None:
    (tmp_path / "pictures/0/04.png").write_bytes(b"no picture")
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    (tmp_path / "notes.txt").write_text("no picture either")
    np.savez(tmp_path / "nan.npz", x=np.array([[0.0] * 64, [np.nan] * 64]))
    np.savez(tmp_path / "other.npz", z=np.zeros(3))
    np.savez(tmp_path / "flat.npz", x=np.zeros(64))
    np.savez(tmp_path / "text.npz", x=np.array([["a"] * 64]))
    (tmp_path / "small.toml").write_text(
        'name = "digits"\n[data]\nsource = "digits"\n[encoder]\nname = "pixels"\n', encoding="utf-8"
    )
    model = digits.dkvb_artifact.path
    bad = ["broken.npz", "nan.npz", "other.npz", "flat.npz", "text.npz", "notes.txt"]
    result = invoke(digits, *bad, "pictures", "--model", str(model), "--json", recipe="digits")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert len(found["predict"]) == 11
    assert sorted(entry["input"] for entry in found["unreadable"]) == sorted([*bad, "pictures/0/04.png"])
    shown = CliRunner().invoke(app, ["predict", "pictures", "--model", str(model)])
    assert shown.exit_code == 1
    assert "pictures/0/02.png" in shown.stdout
    every = CliRunner().invoke(app, ["predict", "pictures/0/04.png", "--model", str(model), "--json"])
    assert every.exit_code == 1
    assert json.loads(every.stdout)["predict"] == []


def test_usage(models: TrainedSeed, digits: TrainedSeed, tmp_path: Path) -> None:
    np.savez(tmp_path / "wide.npz", x=np.zeros((2, 13)))
    (tmp_path / "empty").mkdir()
    for words, code, text in (
        (["wide.npz"], 1, "width 13, the model was trained on 12"),
        (["nowhere.png"], 2, "does not exist"),
        (["empty"], 2, "no images"),
        (["pictures"], 2, "without an encoder"),
        (["wide.npz", "--json", "--csv", "-"], 2, "standard output"),
        (["wide.npz", "--seed", "7"], 3, "dkvb train"),
    ):
        result = invoke(models, *words)
        assert (result.exit_code, text in result.stderr) == (code, True), (words, result.stderr)
    with pytest.raises(UsageError, match="is a folder"):
        predict.write_csv([], tmp_path)
    with pytest.raises(DkvbError, match="width 13"):
        predict.run(dkvb.load(models.dkvb_artifact.path), [Path("wide.npz")])


def test_csv(models: TrainedSeed, tmp_path: Path) -> None:
    np.savez(tmp_path / "new, too.npz", x=models.splits.features_of("test")[:3])
    result = invoke(models, "new, too.npz", "--top", "2", "--csv", "-")
    assert result.exit_code == 0
    assert invoke(models, "new, too.npz", "--top", "2", "--csv", "out.csv", "--json").exit_code == 0
    assert (tmp_path / "out.csv").read_text() == result.stdout
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [row["input"] for row in rows] == [f"new, too.npz[{i}]" for i in range(3)]
    columns = ["input", "class", "id", "probability", "class_2", "id_2", "probability_2", "masked_nearest"]
    assert list(rows[0]) == columns
    assert [row["masked_nearest"] for row in rows] == ["0.0"] * 3
    assert all(float(row["probability"]) >= float(row["probability_2"]) for row in rows)


def test_a_person_sees_a_table(models: TrainedSeed, tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", x=models.splits.features_of("test")[:2])
    result = invoke(models, "new.npz", "--top", "2")
    assert result.exit_code == 0
    assert "new.npz[1]" in result.stdout
    assert "%" in result.stdout
    assert "then, 2" in result.stdout


def test_a_forgotten_class_is_never_the_answer(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(DIGITS, encoding="utf-8")
    digits = trained(load("small.toml"), workspace)
    model = dkvb.load(digits.workspace.root)
    x, y = digits.splits.features_of("test"), digits.splits.labels["test"]
    np.savez(tmp_path / "test.npz", x=x)
    common = ["--recipe", "small.toml", "--data-dir", str(digits.workspace.root)]

    def call(*words: str, code: int = 0) -> tuple[dict[str, Any], str]:
        result = CliRunner().invoke(app, [*words, *common, "--json"])
        assert result.exit_code == code, result.stderr
        return json.loads(result.stdout), result.stderr

    def answers(*words: str) -> tuple[list[dict[str, Any]], str]:
        result, said = call("predict", "test.npz", "--top", "10", *words)
        return result["predict"], said

    before, _ = answers()
    call("forget", "3", "--na", "12")  # too few to forget it: the mask alone still answers with it
    forgetting = dkvb.load(digits.workspace.root)
    progress.silence(False)
    alone = model.masked(forgetting.mask)(x)
    entries, said = answers()
    second = np.where(np.arange(10) == 3, -np.inf, alone)
    assert [entry["id"] for entry in entries] == second.argmax(1).tolist()
    assert (alone.argmax(1) == 3)[y == 3].mean() > 0.5
    softmax = torch.from_numpy(second).double().softmax(1)
    assert softmax[:, 3].sum() == 0
    for entry, shares in zip(entries, softmax, strict=True):
        assert sorted(at["id"] for at in entry["top"]) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
        assert {at["id"]: at["probability"] for at in entry["top"]} == pytest.approx(
            {c: p for c, p in enumerate(shares.tolist()) if c != 3}
        )

    # marked by how much of what they select is masked
    codes = model.select(x)
    hit = np.stack([forgetting.mask[c][codes[c]] for c in range(len(codes))])
    shares = hit.mean((0, 2))
    assert [entry["masked_nearest"] for entry in entries] == pytest.approx(shares.tolist())
    assert shares[y == 3].mean() > shares[y != 3].mean() > 0
    assert f"{(shares > 0.5).sum()} of {len(x)} inputs had more than half of their nearest pairs masked" in said

    kept, _ = answers("--keep-labels")
    assert [entry["id"] for entry in kept] == alone.argmax(1).tolist()
    assert len(kept[0]["top"]) == 10
    assert torch.equal(torch.from_numpy(dkvb.load(digits.workspace.root, keep_labels=True)(x)), torch.from_numpy(alone))

    # an export gives the same names; its ids are places in its own list
    call("export", "out")
    exported, said = answers("--model", "out")
    assert [entry["class"] for entry in exported] == [entry["class"] for entry in entries]
    names = json.loads(Path("out/config.json").read_text())["classes"]
    assert names == list("012456789")
    assert all(names[entry["id"]] == entry["class"] for entry in exported)
    assert {entry["masked_nearest"] for entry in exported} == {None}, "an export does not hold masked keys"
    assert "nearest pairs" not in said
    assert CliRunner().invoke(app, ["predict", "test.npz", "--model", "out", "--keep-labels"]).exit_code == 2
    call("export", "kept", "--keep-labels")
    again, _ = answers("--model", "kept")
    assert [entry["id"] for entry in again] == [entry["id"] for entry in kept]

    call("restore", "r0001")
    assert answers()[0] == before
    call("forget", "3", "--na", "12")
    bottleneck = str(digits.dkvb_artifact.path)
    call("purge", "r0002", "--yes")
    assert [entry["id"] for entry in answers()[0]] == [entry["id"] for entry in entries]
    assert 3 not in {entry["id"] for entry in answers("--model", bottleneck)[0]}
