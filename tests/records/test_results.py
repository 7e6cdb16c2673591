"""Records of stages: the dump of each is the manifest's result, and a result that does not fit is refused with its
remedy."""

from __future__ import annotations

import pytest

from dkvb.errors import SettingsClash
from dkvb.recipe import Recipe
from dkvb.records.accuracies import Accuracies
from dkvb.records.train import TrainResult
from dkvb.records.unlearn import SweepPoint
from dkvb.stages import unlearn
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from fakes import RECORDS


def test_every_manifest_is_read_back_as_the_record_that_wrote_it(trained: Recipe, workspace: Workspace) -> None:
    chosen = {"method": ["activations", "scrub", "logit-mask"], "forget": ["cat"], "sweep": True, "retrain": 1}
    unlearn.run(trained.with_(unlearn=chosen), workspace)
    seen = set()
    for stage in ("embed", "quantize", "train", "unlearn"):
        for artifact in workspace.all(stage):
            record = artifact.result_as(RECORDS[artifact.kind])
            assert record.model_dump(mode="json") == artifact.result
            seen.add(artifact.kind)
    assert seen == set(RECORDS) - {"membership"}


def test_a_result_with_other_fields_names_the_file_and_the_command(trained: Recipe, workspace: Workspace) -> None:
    artifact = workspace.all("train")[0]
    strange = Artifact(artifact.path, {**artifact.manifest, "result": {**artifact.result, "train": "most of it"}})
    with pytest.raises(SettingsClash, match=r"manifest\.json.*`result\.train`.*then run `dkvb train` to make it again"):
        strange.result_as(TrainResult)


def test_validation_is_dumped_only_where_it_was_measured() -> None:
    four = {"retain_test": 0.9, "forget_test": None, "retain_train": 1.0, "forget_train": 0.0}
    assert Accuracies.model_validate(four).model_dump(mode="json") == four
    whole = {**four, "retain_validation": 0.8, "forget_validation": None}
    assert Accuracies.model_validate(whole).model_dump(mode="json") == whole
    point = SweepPoint(n=3, masked=3, retain_test=0.9, forget_test=0.1)
    assert set(point.model_dump(mode="json")) == {"n", "masked", "retain_test", "forget_test"}
