"""A run's page: what is missing, its dial, its costs, and methods told apart."""

from __future__ import annotations

import statistics

import polars as pl
import pytest

from fakes import Fake, workspace_at
from page_text import payload, text, written


def test_the_verdict_admits_that_the_control_does_better(full):
    assert "by accuracy alone, masking does not beat it" in text(full[2])


def test_nothing_missing_is_claimed_when_all_is_there(full):
    assert "Not done yet" not in text(full[2])


def test_missing_pieces_name_their_commands(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    fake.unlearn(fake.train(), "activations", 180_000)
    fake.train(seed=1)
    _, [page] = written(fake.workspace)
    for command in ("activations --sweep", "examples", "logit-mask", "scrub", "activations --seed 1"):
        assert f"dkvb unlearn --method {command}" in text(page), command
    assert "dkvb train" in text(page)
    assert "chart-curve" not in page


def test_a_sweep_without_test_samples_of_the_forgotten_class(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    swept = fake.sweep(fake.train(), "activations", 200_000)
    path = swept.path / "curve.parquet"
    gone = pl.when(pl.col("class") == 1).then(0).otherwise(pl.col("total"))
    pl.read_parquet(path).with_columns(total=gone, correct=pl.min_horizontal("correct", gone)).write_parquet(path)
    swept.reseal()
    _, [page] = written(fake.workspace)
    assert "chart-curve-activations" in page
    assert "NaN" not in page.split('id="payload">')[1].split("</script>")[0]


def test_only_a_sweep_and_null_accuracies(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    trained = fake.train()
    fake.sweep(trained, "activations", 200_000)
    _, [page] = written(fake.workspace)
    assert "not yet unlearned" in text(page)
    empty = dict.fromkeys(("retain_test", "forget_test", "retain_train", "forget_train"))
    fake.unlearn(
        trained, "activations", 10, before=empty, after=empty, per_class_before=[None] * 10, per_class_after=[None] * 10
    )
    _, [page] = written(fake.workspace)
    assert "could not be measured" in text(page)


def test_a_linear_method_appears_on_the_run_of_its_embedding_only(full, tmp_path):
    assert "SCRUB on the linear head" in text(full[2])
    one = Fake(workspace_at(tmp_path))
    one.everything()
    other = Fake(one.workspace, ["x", "y", "z"], source="digits")
    other.unlearn(other.train(), "activations", 5)
    _, pages = written(one.workspace)
    assert sorted("SCRUB on the linear head" in text(page) for page in pages) == [False, True]


def test_two_settings_of_a_method_are_told_apart(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    trained = fake.train()
    fake.unlearn(trained, "activations", 180_000)
    fake.unlearn(trained, "activations", 150_000, left=0.05, chosen="validation")
    _, [page] = written(fake.workspace)
    assert "N = 180,000" in text(page)
    assert "activations, N chosen on validation data" in text(page)


def test_the_dial_holds_every_step_and_both_choices_of_n(full):
    found = {one["method"]: one for one in payload(full[2])["dial"]}
    dial = found["activations"]
    assert dial["grid"] == [10_000 * step for step in range(21)]
    assert dial["start"] == 180_000
    assert {(choice["n"], choice["text"]) for choice in dial["choices"]} == {
        (180_000, "used"),
        (180_000, "as the paper chooses, on the test curve"),
    }
    assert dial["said"][0]["forget"] == "96.50% (96.5 to 96.5; sd 0.0)"
    rows = payload(full[2])["charts"]["dial-classes"]["datasets"]["rows0"]
    assert len(rows) == (21 + 1 + 21 + 21) * 10  # the votes that were used are none of those that were swept
    [bar] = [row for row in rows if (row["m"], row["n"], row["class"]) == ("activations", 200_000, "0 airplane")]
    sweeps = [artifact for artifact in full[0].all("unlearn") if artifact.settings["kind"] == "sweep"]
    mine = [
        pl.read_parquet(artifact.path / "curve.parquet")
        for artifact in sweeps
        if artifact.settings["method"] == "activations"
    ]
    at = (pl.col("n") == 200_000) & (pl.col("class") == 0) & (pl.col("split") == "test")
    assert bar["a"] == pytest.approx(
        statistics.fmean(one.filter(at)["correct"].item() / 1000 for one in mine), abs=1e-5
    )


def test_costs_and_retraining_are_shown_where_they_were_measured(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    fake.everything(seeds=2)
    _, [page] = written(fake.workspace)
    assert "210.0 M" in text(page)
    assert "7.4 G" in text(page)
    assert "chart-retraining-retain" not in page
    for trained in [artifact for artifact in fake.workspace.all("train") if artifact.result["model"] == "dkvb"]:
        for method in ("activations", "examples"):
            fake.retrain(trained, method)
    _, [page] = written(fake.workspace)
    rows = payload(page)["charts"]["retraining-retain"]["datasets"]["rows0"]
    assert len(rows) == 2 * 4
    assert rows[-1]["a"] == pytest.approx(0.9265)
    assert "0: 92.60%, 1: 92.70%" in rows[-1]["each"]
