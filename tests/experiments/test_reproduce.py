"""The plan of the paper's experiments: what it says, that it writes nothing, and that it runs to its end and
resumes."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import fixed_rates
from conftest import TOML, blobs
from dkvb.cli import app
from dkvb.errors import DkvbError, NotHere, UsageError
from dkvb.experiments import estimates, paper_plan
from dkvb.experiments.estimates import Estimator
from dkvb.metrics.published import EXPERIMENTS, PAPER, TABLE_1_COLUMNS
from dkvb.recipe import builtin_names, load
from dkvb.records.experiments import PlanStep
from dkvb.stages import embed, train
from dkvb.workspace.artifacts import Workspace

STEPS = ["embed", "quantize", "train", *paper_plan.METHODS, "membership"]


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans without the seconds that measuring this machine takes."""
    fixed_rates.fix(monkeypatch)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    blobs(tmp_path / "tiny-data")
    path = tmp_path / "tiny.toml"
    path.write_text(TOML.replace('name = "tiny"', 'name = "tiny <b>"'), encoding="utf-8")
    return path


def run(*args: str, code: int = 0) -> list[PlanStep]:
    result = CliRunner().invoke(app, ["reproduce", "--json", *args])
    assert result.exit_code == code, result.stderr
    return [PlanStep.model_validate(step) for step in json.loads(result.stdout)["reproduce"]] if code == 0 else []


@pytest.mark.slow
def test_a_dry_run_writes_nothing_and_a_run_does_all_and_a_rerun_nothing(
    own: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = run("--recipe", str(own), "--dry-run")
    assert [(e.step, e.state) for e in planned] == [(step, "missing") for step in STEPS]
    assert all(e.estimate_seconds >= 0 and e.estimate_bytes > 0 for e in planned)
    assert {e.estimate_from for e in planned} == {"machine"}
    assert not workspace.root.exists()
    assert not workspace.reports.exists()
    fixed_rates.fix(monkeypatch)  # measured once is enough
    done = run("--recipe", str(own))
    assert {e.state for e in done} == {"done"}
    assert all(e.seconds > 0 for e in done)
    again = run("--recipe", str(own))
    assert {(e.state, e.seconds) for e in again} == {("done", None)}
    page = (workspace.reports / "paper.html").read_text(encoding="utf-8")
    assert "Figures 4 and 6: training on" in page
    assert "as Table 2" in page
    numbers = pl.read_parquet(workspace.reports / "data/paper-numbers.parquet")
    assert numbers["published"].null_count() == len(numbers), "nothing is published of one's own data"
    (model,) = [
        artifact
        for artifact in workspace.all("train")
        if artifact.result["model"] == "dkvb" and "held" not in artifact.path.name
    ][:1]
    assert numbers.filter(table="Table 1", what="DKVB", measure="test")["measured"][0] == pytest.approx(
        model.result["test"]
    )
    forgotten = next(
        a for a in workspace.all("unlearn") if a.settings["kind"] == "forget" and a.settings["method"] == "examples"
    )
    change = forgotten.result["after"]["retain_test"] / forgotten.result["before"]["retain_test"] - 1
    shown = numbers.filter(pl.col("what").str.contains("example"), pl.col("measure") == "retain change")
    assert shown["measured"][0] == pytest.approx(change)


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
def test_what_stopped_half_way_goes_on(own: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = paper_plan.recipes([], 1, load(str(own)))[0].with_(unlearn={"method": ["activations", "logit-mask"]})
    original = train._linear

    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_linear", stop)
    with pytest.raises(KeyboardInterrupt):
        paper_plan.run(paper_plan.plan([recipe], workspace), workspace, recipe)
    monkeypatch.setattr(train, "_linear", original)
    states = {step.entry.step: step.entry.state for step in paper_plan.plan([recipe], workspace)}
    assert (states["embed"], states["quantize"], states["train"]) == ("done", "done", "missing")
    entries = paper_plan.run(paper_plan.plan([recipe], workspace), workspace, recipe)
    assert {entry.state for entry in entries} == {"done"}
    other_plan = paper_plan.plan([recipe.with_(unlearn={"na": 151})], workspace)
    other = {step.entry.step: step.entry.state for step in other_plan}
    assert (other["train"], other["activations"], other["logit-mask"]) == (
        "done",
        "missing",
        "done",
    ), "another N is another result"
    repeated = paper_plan.plan([recipe.with_(run={"seeds": [0, 1]})], workspace)
    assert {step.entry.estimate_from for step in repeated if step.entry.state == "missing"} == {"workspace"}


@pytest.mark.usefixtures("unmeasured")
def test_a_step_that_fails_skips_what_needs_it(
    own: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = paper_plan.recipes([], 1, load(str(own)))[0]

    def fail(*args: object, **kwargs: object) -> None:
        raise DkvbError("the loss is not finite")

    monkeypatch.setattr(train, "run", fail)
    entries = {entry.step: entry for entry in paper_plan.run(paper_plan.plan([recipe], workspace), workspace, recipe)}
    assert (entries["train"].state, entries["train"].why) == ("failed", "the loss is not finite")
    assert (entries["activations"].state, entries["activations"].why) == ("skipped", "train failed")
    result = CliRunner().invoke(app, ["reproduce", "--json", "--seeds", "1", "--recipe", str(own)])
    assert result.exit_code == 1, "what failed is no success, though the rest ran"
    assert json.loads(result.stdout)["reproduce"][2]["state"] == "failed"


@pytest.mark.usefixtures("unmeasured")
def test_data_that_cannot_be_downloaded_are_skipped(
    own: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = paper_plan.recipes([], 1, load(str(own)))[0].with_(unlearn={"method": "activations"})

    def unreachable(*args: object, **kwargs: object) -> None:
        raise NotHere("no network")

    monkeypatch.setattr(embed, "run", unreachable)
    entries = paper_plan.run(paper_plan.plan([recipe], workspace), workspace, recipe)
    assert {(entry.state, entry.why) for entry in entries} == {("skipped", "no network")}


def test_data_sets_that_are_not_there_are_skipped_and_a_dry_run_says_what_they_would_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fixed_rates.fix(monkeypatch)
    monkeypatch.setattr(Estimator, "_encoder", lambda self, settings: 100.0)
    entries = run("--only", "cifar10,imagenet1k", "--seeds", "2", "--dry-run")
    assert {e.state for e in entries} == {"skipped"}
    assert {e.data for e in entries} == {"cifar10", "imagenet1k"}
    assert sum(e.step == "train" for e in entries) == 4
    said = {e.data: e.why for e in entries}
    assert "--data-root" in said["cifar10"]
    assert "data.path" in said["imagenet1k"]
    (embedding,) = [e for e in entries if (e.data, e.step) == ("cifar10", "embed")]
    assert embedding.estimate_bytes == 60_000 * 512 * 4
    assert 600 < embedding.estimate_seconds < 610, "60,000 images at 100 a second"
    assert all(e.estimate_seconds > 0 and e.estimate_memory_bytes > 2**30 for e in entries)
    shown = CliRunner().invoke(app, ["reproduce", "--only", "imagenet1k", "--dry-run"]).stdout.replace("\n", " ")
    assert "imagenet1k: The source" in shown
    assert "Downloads are not counted" in shown
    assert "Measured on this machine just now" in shown


def test_what_cannot_be_done_is_not_measured_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(estimates, "measure", lambda shape: pytest.fail("measured"))
    entries = run("--only", "cifar10", "--seeds", "1")
    assert {(e.state, e.estimate_seconds) for e in entries} == {("skipped", None)}


def test_bad_usage() -> None:
    with pytest.raises(UsageError, match="did you mean 'cifar10'"):
        paper_plan.recipes(["cifar1"], None, None)
    with pytest.raises(UsageError, match="--seeds 0"):
        paper_plan.recipes([], 0, None)
    with pytest.raises(UsageError, match="name one with --only"):
        paper_plan.recipes([], None, None, "somewhere")


def test_published_numbers_are_those_of_the_paper() -> None:
    assert set(EXPERIMENTS) <= set(builtin_names())
    rows = {
        ("cifar10", "dkvb"): "100 100 100 93.01 92.61 96.50",
        ("cifar100", "dkvb"): "99.98 99.98 100 78.43 78.24 96.00",
        ("lacuna100", "linear"): "95.58 95.53 100 90.68 90.59 100",
    }
    for (source, model), row in rows.items():
        published = PAPER[source, "clip-vit-b32"].trained[model]
        assert [round(100 * published[split], 2) for split in TABLE_1_COLUMNS] == [
            float(number) for number in row.split()
        ]
    for recipe, (source, encoder) in EXPERIMENTS.items():
        loaded = load(recipe)
        assert (loaded.data.source, loaded.encoder.name) == (source, encoder)
        first = PAPER[source, encoder].first_zero
        assert first in ({}, {"activations": loaded.unlearn.na, "examples": loaded.unlearn.ne})


def test_methods_of_ones_own_recipe_join_the_papers() -> None:
    own = load("digits").with_(unlearn={"method": ["own-votes", "votes"]})
    (whole,) = paper_plan.recipes([], None, own)
    assert whole.unlearn.methods == [*paper_plan.METHODS, "own-votes"]
