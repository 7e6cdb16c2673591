"""Integer features: a model trained on them takes new ones as the data set's were taken, an export of it too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import TOML, blobs
from dkvb.cli import app
from dkvb.methods.proxy import proxy_features
from dkvb.recipe import Recipe, load
from dkvb.stages import embed, train
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features


@pytest.fixture
def whole(tmp_path: Path) -> Recipe:
    """The tiny data as uint8, in steps of 0.1 around 128, labels counted from 1."""
    blobs(tmp_path / "tiny-data", train=160)
    for split in ("train", "test"):
        path = tmp_path / "tiny-data" / f"{split}.npz"
        with np.load(path) as arrays:
            x, y, classes = arrays["x"], arrays["y"], arrays["classes"]
        np.savez(path, x=np.clip(np.rint(x * 10) + 128, 0, 255).astype(np.uint8), y=y + 1, classes=classes)
    settings = '[data]\nscale = 0.1\noffset = -128.0\nlabels = "from-1"'
    text = TOML.replace("[data]", settings).replace("[linear]", "[linear]\nconverged = false")
    (tmp_path / "dkvb.toml").write_text(text, encoding="utf-8")
    return load("dkvb.toml")


def predictions(*words: str) -> list[tuple[str, float]]:
    result = CliRunner().invoke(app, ["predict", *words, "--json"])
    assert result.exit_code == 0, result.stdout
    return [(answer["class"], answer["probability"]) for answer in json.loads(result.stdout)["predict"]]


def test_new_integers_are_scaled_as_the_data_were(whole: Recipe) -> None:
    workspace = Workspace(Path("data"), Path("reports"))
    embed.run(whole, workspace)
    train.run(whole, workspace)
    with np.load("tiny-data/test.npz") as arrays:
        x, y = arrays["x"], arrays["y"]
    scaled = ((x.astype(np.float64) - 128) * 0.1).astype(np.float32)
    np.savez("floats.npz", x=scaled)
    answers = predictions("tiny-data/test.npz")
    names = ["airplane", "bird", "cat", "dog"]
    right = [name == names[label - 1] for (name, _), label in zip(answers, y.tolist(), strict=True)]
    assert np.mean(right) > 0.9
    assert predictions("floats.npz") == answers
    assert CliRunner().invoke(app, ["export", "exported"]).exit_code == 0
    assert json.loads(Path("exported/config.json").read_text(encoding="utf-8"))["integers"] == {
        "scale": 0.1,
        "offset": -128.0,
    }
    assert "(x + -128) * 0.1" in Path("exported/README.md").read_text(encoding="utf-8")
    assert predictions("tiny-data/test.npz", "--model", "exported") == answers


def test_proxies_are_scaled_and_labelled_as_the_data_were(whole: Recipe) -> None:
    workspace = Workspace(Path("data"), Path("reports"))
    embed.run(whole, workspace)
    artifact = need_features(whole, workspace)
    x = np.arange(36, dtype=np.uint8).reshape(3, 12)
    wanted = ((x[[0, 2]].astype(np.float64) - 128) * 0.1).astype(np.float32)
    for y in (np.array([3, 1, 3]), np.array(["cat", "dog", "cat"]), np.array([b"cat", b"dog", b"cat"])):
        np.savez("proxy.npz", x=x, y=y)
        assert proxy_features(Path("proxy.npz"), artifact, [2], "cpu").tolist() == wanted.tolist()


def test_integers_for_a_model_of_floats_are_refused(trained: Recipe, workspace: Workspace) -> None:
    np.savez("new.npz", x=np.ones((2, 12), np.int8))
    asked = ["predict", "new.npz", "--json", "--recipe", "tiny.toml", "--data-dir", str(workspace.root)]
    [bad] = json.loads(CliRunner().invoke(app, asked).stdout)["unreadable"]
    assert bad["error"].startswith("features are int8; set data.scale")
