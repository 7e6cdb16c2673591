"""The page that compares methods, pair by pair."""

from __future__ import annotations

import polars as pl
import pytest

from dkvb.pages.facts import comparison
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
