"""Pictures of single samples: what they show is what was measured, and a purge takes them along."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dkvb.deletion import forget, purge, verify
from dkvb.errors import UsageError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.splits import Splits
from dkvb.pages import verify as verify_page
from dkvb.pages import written
from dkvb.pages.facts import asked as asking
from dkvb.pages.facts import feature_map as mapping
from dkvb.pages.facts.asked import Answers, answers, spaced
from dkvb.pages.facts.collect import collect
from dkvb.pages.facts.confusion import Confusion, confusion
from dkvb.pages.facts.feature_map import FeatureMap, feature_map
from dkvb.pages.facts.insight import look_inside
from dkvb.pages.facts.runs import ReportRun
from dkvb.pages.facts.where_to import where_table, where_to
from dkvb.recipe import Recipe
from dkvb.stages import report
from dkvb.training.on_retain_set import retrained
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features
from fakes import workspace_at
from page_text import payload, text

BIRD, CAT, DOG = 1, 2, 3


def run_of(workspace: Workspace, forgotten: int) -> ReportRun:
    return next(run for run in collect(workspace).runs if run.forget == (forgotten,))


@pytest.fixture(scope="module")
def found(reported: tuple[Recipe, Workspace]) -> tuple[ReportRun, Answers]:
    run = run_of(reported[1], BIRD)
    asked = answers(run)
    assert isinstance(asked, Answers)
    return run, asked


@pytest.fixture
def copied(reported: tuple[Recipe, Workspace], tmp_path: Path) -> tuple[Recipe, Workspace]:
    """The tiny workspace with its report, to be altered."""
    workspace = workspace_at(tmp_path)
    shutil.copytree(reported[1].root, workspace.root)
    shutil.copytree(reported[1].reports, workspace.reports)
    return reported[0], workspace


def test_answers_are_those_that_were_measured(found):
    _, asked = found
    [result] = asked.result.results
    for split, one in asked.asked.items():
        mine = one.labels == BIRD
        for when, answer, measured in (("before", one.before, result.before), ("after", one.after, result.after)):
            right = answer == one.labels
            assert right[mine].mean() == pytest.approx(getattr(measured, f"forget_{split}")), (when, split)
            assert right[~mine].mean() == pytest.approx(getattr(measured, f"retain_{split}")), (when, split)


def test_confusion_is_of_every_test_sample(found):
    run, asked = found
    counted = confusion(asked)
    assert counted.before.sum() == counted.after.sum() == 120
    assert np.diag(counted.shares("after")) == pytest.approx(asked.result.first.per_class_after)
    assert counted.shares("difference").sum(1) == pytest.approx(np.zeros(4), abs=1e-12)
    frame = counted.table(run.setup.classes)
    assert frame.filter(pl.col("name") == "bird")["before"].sum() == 30


def test_confusion_of_a_class_without_samples_is_missing_and_of_many_the_moved_are_drawn():
    before, after = np.diag([0, 5, 5, 5]), np.diag([0, 5, 5, 5])
    after[3] = [0, 0, 4, 1]
    counted = Confusion(before, after)
    assert np.isnan(counted.shares("before")[0]).all()
    assert counted.shares("after")[3].tolist() == [0, 0, 0.8, 0.2]
    assert counted.moved([1], 3) == [1, 2, 3]


def test_samples_go_where_the_page_of_the_bottleneck_says(found):
    """It selects again by itself, see `look_ups.fallback`."""
    run, asked = found
    train, test = where_to(asked, run.forget)
    assert (train.split, train.samples, test.split, test.samples) == ("train", 64, "test", 30)
    assert test.after[BIRD] == pytest.approx(asked.result.first.after.forget_test)
    assert test.after.sum() == test.before.sum() == pytest.approx(1)
    assert (test.oracle, test.apart, test.sentence) == (None, None, "")
    assert "oracle" not in where_table([train, test], run.setup.classes).columns


def test_the_retrained_model_stands_beside(copied):
    recipe, workspace = copied
    seed = TrainedSeed(recipe, workspace, need_features(recipe, workspace), 0)
    retrained(seed, [BIRD], "retrain")
    retrained(seed, [BIRD], "retrain", again=True)
    retrained(seed, [DOG], "retrain-keys")
    assert run_of(workspace, DOG).oracles == {}
    run = run_of(workspace, BIRD)
    assert "again" not in run.oracles[0].path.name
    asked = answers(run)
    _, test = where_to(asked, run.forget)
    assert test.oracle[BIRD] == 0
    assert test.apart == pytest.approx(np.abs(test.after - test.oracle).sum() / 2)
    report.run(recipe, workspace)
    html = (workspace.reports / run.page).read_text(encoding="utf-8")
    assert "retrained without it" in {row["model"] for row in payload(html)["charts"]["goes-test"]["datasets"]["rows0"]}
    other = text((workspace.reports / run_of(workspace, DOG).page).read_text(encoding="utf-8"))
    assert "dkvb unlearn --method retrain --forget dog" in other


def test_rows_are_asked_evenly_and_the_forgotten_ones_first(monkeypatch):
    labels = np.repeat([0, 1, 2], [100, 10, 200])
    rows = asking._rows(labels, [1], 32)
    assert np.bincount(labels[rows]).tolist() == [7, 10, 15]
    assert len(np.unique(rows)) == 32
    assert spaced(labels, labels == 1, 20).tolist() == list(range(100, 110))


def test_the_map_is_small_and_the_same_each_time(found, monkeypatch):
    run, asked = found
    monkeypatch.setattr(mapping, "POINTS", 40)
    one, again = feature_map(asked), feature_map(asked)
    assert isinstance(one, FeatureMap)
    assert isinstance(again, FeatureMap)
    assert one.size == 80
    for split, placed in one.places["pca"].items():
        assert placed.shape == (40, 2)
        np.testing.assert_array_equal(placed, again.places["pca"][split])
    assert np.concatenate(list(one.places["pca"].values())).std(0) == pytest.approx([1, 1])
    frame = one.table(run.setup.classes)
    assert frame.columns == ["split", "class", "before", "after", "pca_x", "pca_y"]
    assert set(frame["class"]) == {"airplane", "bird", "cat", "dog"}


def test_features_of_one_number_have_no_map(found, monkeypatch):
    _, asked = found
    monkeypatch.setattr(Splits, "features_of", lambda self, split, rows: np.ones((len(rows), 1), np.float32))
    assert feature_map(asked) == "There are too few samples, or too few features, for a map."


def test_umap_that_is_not_there_is_named(reported, monkeypatch):
    monkeypatch.setattr(mapping, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"dkvb\[umap\]"):
        report.run(reported[0], reported[1], umap=True)


@pytest.mark.slow
def test_umap_lays_the_map_out_as_well(found):
    pytest.importorskip("umap")
    placed = feature_map(found[1], umap=True)
    assert list(placed.places) == ["pca", "umap"]
    assert placed.places["umap"]["test"].shape == placed.places["pca"]["test"].shape


@pytest.fixture
def purged(copied: tuple[Recipe, Workspace]) -> tuple[Recipe, Workspace]:
    """The same once birds were purged, with the report from before."""
    recipe, workspace = copied
    forget.run(recipe, workspace, ["bird"])
    purge.run(recipe, workspace, "r0001-bird")
    return recipe, workspace


def test_a_purge_takes_pages_along_that_show_samples(reported, purged):
    _, workspace = purged
    before = [path.name for path in (reported[1].reports / "data").glob("*-map.parquet")]
    assert len(before) == 2
    assert list((workspace.reports / "data").glob("*-map.parquet")) == []
    for index in (BIRD, DOG):
        stub = (workspace.reports / run_of(workspace, index).page).read_text(encoding="utf-8")
        assert "dkvb report" in text(stub)
        assert payload(stub) is None
        assert answers(run_of(workspace, index)).startswith("Rows were purged from this model")
    known = written.hashes(workspace.reports)
    assert not [name for name in known if name.endswith("-map.parquet")]
    assert written.wrong(workspace.reports) == {}


def test_what_a_purged_class_looked_up_is_missing_and_not_nothing(purged):
    run = run_of(purged[1], BIRD)
    seen = look_inside(run.setup, collect(purged[1]).runs)
    assert (seen.purged, seen.classes) == ([BIRD], [0, CAT, DOG])
    assert seen.pairs.shape == (3, 3)
    for mask in seen.masks:
        assert [share is None for share in mask.hidden] == [False, True, False, False]
        assert (mask.where is None) == (mask.run.forget == (BIRD,))


@pytest.mark.slow
def test_after_a_purge_no_page_has_an_empty_chart(purged):
    recipe, workspace = purged
    report.run(recipe, workspace)
    verify_page.write(recipe, workspace, verify.run(recipe, workspace))
    for page in workspace.reports.glob("*.html"):
        html = page.read_text(encoding="utf-8")
        for name, spec in ((payload(html) or {}).get("charts") or {}).items():
            rows = [row for rows in spec["datasets"].values() for row in rows]
            assert rows, (page.name, name)
            assert not name.startswith(("map-", "goes-", "confusion-", "destinations-0-1", "relearning-0-1"))
            assert not [row for row in rows if row.get("class") == "1 bird" and row.get("v") == 0], (page.name, name)
    said = text((workspace.reports / "verify.html").read_text(encoding="utf-8"))
    assert "No row of it is left that it could be learned from again" in said
    assert "No test rows of the forgotten classes are left" in said
    said = text((workspace.reports / run_of(workspace, DOG).page).read_text(encoding="utf-8"))
    assert "Rows were purged from this model" in said
