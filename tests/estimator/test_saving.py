"""Saved estimators: a folder that `dkvb.load` reads too, and the Hub, without a network."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest

import dkvb
from dkvb.errors import DamagedArtifact, UsageError
from dkvb.estimator import hub
from easy_classes import data, fitted

X, Y, X_TEST, Y_TEST = data()


def test_a_saved_model_predicts_the_same_without_what_was_forgotten() -> None:
    model = fitted(seed=3).forget("dog")
    path = model.save("saved", X=X_TEST, y=Y_TEST)
    assert path == Path("saved").absolute()
    loaded = dkvb.KeyValueClassifier.load("saved")
    assert loaded.classes_.tolist() == ["bird", "cat", "truck"]
    assert loaded.forgotten_.tolist() == ["dog"]
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.decision_function(X_TEST), model.decision_function(X_TEST)[:, [0, 1, 3]])
    np.testing.assert_array_equal(loaded.predict(X_TEST), model.predict(X_TEST))
    np.testing.assert_array_equal(dkvb.load("saved")(X_TEST), loaded.decision_function(X_TEST))
    card = (path / "README.md").read_text(encoding="utf-8")
    assert "| dog (forgotten) | - | never answered |" in card
    assert "| cat | - | 100.0% |" in card
    with pytest.raises(UsageError, match="holds none of the rows"):
        loaded.forget("cat")


def test_labels_keep_their_type_and_frames_their_names() -> None:
    import pandas

    frame = pandas.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])])
    model = dkvb.KeyValueClassifier(codebooks=8, pairs=32).fit(frame, np.unique(Y, return_inverse=True)[1] * 10)
    model.forget(20).save("saved")
    loaded = dkvb.KeyValueClassifier.load("saved")
    assert loaded.classes_.tolist() == [0, 10, 30]
    assert loaded.classes_.dtype == np.int64
    assert loaded.predict(frame).dtype == np.int64
    assert loaded.feature_names_in_.tolist() == frame.columns.tolist()
    loaded.save("again")
    again = dkvb.KeyValueClassifier.load("again")
    assert (again.classes_.tolist(), again.forgotten_.tolist()) == ([0, 10, 30], [20])


def test_an_export_of_a_workspace_is_read_too() -> None:
    fitted().forget("dog").save("saved")
    Path("saved/estimator.json").unlink()
    loaded = dkvb.KeyValueClassifier.load("saved")
    assert (loaded.classes_.tolist(), loaded.forgotten_.tolist()) == (["bird", "cat", "truck"], ["dog"])
    assert loaded.score(X_TEST[Y_TEST == "cat"], Y_TEST[Y_TEST == "cat"]) > 0.9


def test_damage_is_found() -> None:
    model = fitted()
    model.save("saved")
    with pytest.raises(UsageError, match="is not empty"):
        model.save("saved")
    model.forget("dog").save("other")
    shutil.copy("other/estimator.json", "saved/estimator.json")
    with pytest.raises(DamagedArtifact, match="is of another model than"):
        dkvb.KeyValueClassifier.load("saved")
    Path("saved/estimator.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DamagedArtifact, match="estimator.json is damaged"):
        dkvb.KeyValueClassifier.load("saved")
    model.save("saved", force=True)
    assert dkvb.KeyValueClassifier.load("saved").forgotten_.tolist() == ["dog"]
    with pytest.raises(UsageError, match="is no folder"):
        dkvb.KeyValueClassifier.load("nowhere")


class Server:
    """What stands in for the Hub: repositories are folders."""

    def __init__(self, **_: Any) -> None:
        pass

    def create_repo(self, repo: str, **_: Any) -> SimpleNamespace:
        Path("hub", repo).mkdir(parents=True)
        return SimpleNamespace(repo_id=repo)

    def upload_folder(self, *, repo_id: str, folder_path: Path, **_: Any) -> None:
        shutil.copytree(folder_path, Path("hub", repo_id), dirs_exist_ok=True)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", Server)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo, **_: str(Path("hub", repo)))


@pytest.mark.usefixtures("server")
def test_to_the_hub_and_back() -> None:
    model = fitted().forget("dog")
    model.to_hub("me/pets", X_TEST, Y_TEST, dataset="pets", license="mit")
    loaded = dkvb.KeyValueClassifier.from_hub("me/pets")
    np.testing.assert_array_equal(loaded.predict(X_TEST), model.predict(X_TEST))
    card = huggingface_hub.ModelCard.load("hub/me/pets/README.md")
    assert (card.data.library_name, card.data.license, card.data.model_name) == ("dkvb", "mit", "pets")
    assert "unlearned" in card.data.tags
    assert "## What was forgotten" in card.content
    measured = {result.metric_name: result.metric_value for result in card.data.eval_results}
    stays = Y_TEST != "dog"
    assert measured["Accuracy"] == pytest.approx(model.score(X_TEST, Y_TEST), abs=1e-6)
    assert measured["Accuracy on classes that stay"] == pytest.approx(
        model.score(X_TEST[stays], Y_TEST[stays]), abs=1e-6
    )
    assert {result.dataset_split for result in card.data.eval_results} == {"test"}


@pytest.mark.usefixtures("server")
def test_without_held_out_samples_the_card_has_the_validation_rows_or_nothing() -> None:
    fitted().to_hub("me/pets")
    (result,) = huggingface_hub.ModelCard.load("hub/me/pets/README.md").data.eval_results
    assert result.dataset_split == "validation"
    assert result.metric_value > 0.9
    fitted(validation=0.0).to_hub("me/none")
    data_of = huggingface_hub.ModelCard.load("hub/me/none/README.md").data
    assert data_of.eval_results is None


def test_a_folder_is_a_repository_too_and_no_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted().save("saved")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert dkvb.KeyValueClassifier.from_hub("saved").score(X_TEST, Y_TEST) > 0.9
    with pytest.raises(UsageError, match=r"pip install dkvb\[hub\]"):
        hub.download("me/pets", None, None)
    assert json.loads(Path("saved/estimator.json").read_text(encoding="utf-8"))["kind"] == "str"
