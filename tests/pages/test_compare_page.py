"""The page that compares methods, pair by pair."""

from __future__ import annotations

import polars as pl
import pytest

from dkvb.pages.facts import comparison
from dkvb.pages.facts.collect import collect
from fakes import Fake, workspace_at
from page_text import text, written


def test_methods_are_compared_with_the_control_pair_by_pair(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    for seed in range(2):
        trained = fake.train(seed=seed)
        for forget in (1, 4):
            fake.forget = forget
            fake.unlearn(trained, "activations", 180_000 + forget, 0.004 + 0.001 * seed)
            fake.unlearn(trained, "logit-mask", forget, 0.006)
    fake.everything(seeds=0)
    written(fake.workspace)
    [page] = fake.workspace.reports.glob("compare-*.html")
    assert "2 × 2" in text(page.read_text(encoding="utf-8"))
    frame = pl.read_parquet(fake.workspace.reports / "data" / f"{page.stem}-results.parquet")
    found = {one.method: one for one in comparison.summaries(frame)}
    assert found["activations"].control.mean == pytest.approx(-0.0015, abs=1e-4)
    assert found["activations"].control.count == 4
    assert found["logit-mask"].control is None


def test_a_head_that_never_learned_the_class_is_said_to_be_no_baseline(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    fake.unlearn(fake.train(), "activations", 180_000)
    nothing = fake.split([0.0 if index == fake.forget else 0.9 for index in range(10)], (0.9, 0.0))
    fake.unlearn(fake.train("linear", until="converged"), "scrub", 3, before=nothing)
    index, [page] = written(fake.workspace)
    assert "Converged linear head" in text(index)
    assert "SCRUB on the converged linear head" in text(page)
    note = "Note: has not learned the class (0.0% before unlearning, the bottleneck 96.5%): no baseline"
    assert text(page).count(note) == 1
    [compared] = fake.workspace.reports.glob("compare-*.html")
    assert "No baseline in 1 of 1 cases" in text(compared.read_text(encoding="utf-8"))


def test_it_opens_with_the_method_that_keeps_most(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    trained = fake.train()
    fake.unlearn(trained, "votes", 150_000, gain=-0.02, left=0.005)
    fake.unlearn(trained, "activations", 180_000, gain=-0.004)
    fake.unlearn(trained, "examples", 40, gain=0.01, left=0.3)
    fake.unlearn(trained, "logit-mask", 1, gain=0.02)
    fake.unlearn(trained, "retrain", 1, gain=0.006)
    written(fake.workspace)
    [page] = fake.workspace.reports.glob("compare-*.html")
    assert (
        "Of the 3 methods, 2 leave no more than 1.0% of the forgotten classes; of these Masking by activations keeps"
        " the others best (−0.4 points). Masking by votes (ours): 0.5% left, the others −2.0 points."
        " Retrained: 0.0% left, the others +0.6 points."
    ) in text(page.read_text(encoding="utf-8"))
    rows = comparison.summaries(comparison.results_table(collect(fake.workspace).runs))
    assert comparison.answer([row for row in rows if row.method == "examples"]) == (
        "No method brings the forgotten classes to 1.0%. Masking by examples: 30.0% left, the others +1.0 points."
    )
    assert comparison.answer([]) == ""
