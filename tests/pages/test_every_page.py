"""Every page of the report: numbers as in the artifacts, names escaped, nothing loaded from elsewhere."""

from __future__ import annotations

import json
import re
import statistics
from html import unescape

import altair as alt
import polars as pl
import pytest

from dkvb.pages.charts import base
from fakes import Fake, workspace_at
from page_text import Loads, payload, text, written


def test_pages_are_self_contained_and_small(full):
    reports = full[0].reports
    for page in reports.glob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert len(html.encode()) < 700_000
        assert not [address for address in Loads(html).found if re.match(r"(https?:)?//", address)]
        assert "@import" not in html
        assert "url(http" not in html
    [library] = (reports / "assets").iterdir()
    assert library.stat().st_size < 1_500_000
    assert full[2].count(f'<script src="assets/{library.name}">') == 1
    assert len(full[1].encode()) < 60_000


def test_numbers_are_those_of_the_artifacts(full):
    workspace, index, page = full
    mine = [artifact for artifact in workspace.all("unlearn") if artifact.settings["method"] == "activations"]
    after = [artifact.result["after"]["retain_test"] for artifact in mine if artifact.settings["kind"] == "forget"]
    low, high = 100 * min(after), 100 * max(after)  # three seeds are too few for more than their range
    expected = f"{100 * statistics.fmean(after):.1f}% ({low:.1f} to {high:.1f}; sd {100 * statistics.stdev(after):.1f})"
    assert expected in text(page)
    assert expected in text(index)
    told = (
        "96.5%",
        "180,000",
        "1,048,576",
        "not given by the paper",
        "range of the 3 seeds, which is of training alone",
    )
    for words in told:
        assert words in text(page), words
    frame = pl.read_parquet(next((workspace.reports / "data").glob("*-curve.parquet")))
    row = frame.filter((pl.col("method") == "activations") & (pl.col("split") == "test") & (pl.col("n") == 100_000))
    kept = (pl.col("n") == 100_000) & (pl.col("split") == "test") & (pl.col("class") != 1)
    counts = [
        pl.read_parquet(artifact.path / "curve.parquet").filter(kept)
        for artifact in mine
        if artifact.settings["kind"] == "sweep"
    ]
    assert row["retain"].item() == pytest.approx(
        statistics.fmean(count["correct"].sum() / count["total"].sum() for count in counts)
    )
    assert row["seeds"].item() == 3


def test_a_trained_model_alone_makes_an_index_that_names_the_next_command(tmp_path):
    Fake(workspace_at(tmp_path)).train()
    index, pages = written(workspace_at(tmp_path))
    assert pages == []
    assert "dkvb unlearn" in text(index)
    assert "Not done yet" in text(index)


def test_a_linear_head_alone_asks_for_a_bottleneck(tmp_path):
    Fake(workspace_at(tmp_path)).train("linear")
    index, pages = written(workspace_at(tmp_path))
    assert pages == []
    assert "dkvb train" in text(index)


HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><b>x", "{{ 7*7 }}", "日本語 & co"]


SLOW = [pytest.param(place, marks=pytest.mark.slow) for place in (0, 2, 3, 4)]


@pytest.mark.parametrize("forget", [1, *SLOW])
def test_class_names_are_escaped(tmp_path, forget):
    fake = Fake(workspace_at(tmp_path), HOSTILE, forget=forget)
    fake.everything()
    index, [page] = written(fake.workspace)
    others = [path.read_text(encoding="utf-8") for path in fake.workspace.reports.glob("*-*.html")]
    for html, scripts in ((index, 1), (page, 5)):
        tags = Loads(html).tags
        assert tags.count("script") == scripts
        assert "img" not in tags
        assert "</script><b>" not in html
        assert "<script>alert" not in html
        assert all(name in unescape(html) for name in (HOSTILE if html is page else HOSTILE[forget : forget + 1]))
    assert len(others) == 3
    for html in others:
        assert "img" not in Loads(html).tags
        found = payload(html)
        assert found is None or HOSTILE[forget] in json.dumps(found, ensure_ascii=False).replace('\\"', '"')


def test_many_classes_draw_the_changed_ones_and_list_all(tmp_path):
    fake = Fake(workspace_at(tmp_path), [f"species {index}" for index in range(100)], forget=58, source="cifar100")
    fake.everything()
    _, [page] = written(fake.workspace)
    assert "24 other classes that changed most" in text(page)
    assert "99 species 99" in text(page)
    charts = payload(page)["charts"]
    for name, rows in (
        ("classes", charts["classes"]["datasets"]["rows0"]),
        ("dial", charts["dial-classes"]["datasets"]["rows0"]),
    ):
        drawn = {row["class"] for row in rows}
        assert len(drawn) == 25, name
        assert "58 species 58" in drawn
    [compare] = fake.workspace.reports.glob("compare-*.html")
    [cells] = payload(compare.read_text(encoding="utf-8"))["charts"]["matrix"]["datasets"].values()
    assert len({row["c"] for row in cells}) == 25


def test_features_have_a_name_and_no_path(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    settings = {"data": {"source": "features", "path": "/secret/place/cifar10-mobilenet", "test": 0.2}, "encoder": None}
    result = fake.embed.result | {"source": "features", "encoder": None}
    fake.embed = fake.make("embed", "features", settings, {}, result)
    fake.unlearn(fake.train(), "activations", 180_000)
    index, [page] = written(fake.workspace)
    for html in (index, page):
        assert "cifar10-mobilenet · precomputed features" in text(html)
        assert "secret" not in html


def test_the_data_of_a_chart_have_one_order():
    """That of sets differs from process to process, and with it the bytes of a page."""
    chart = alt.layer(*(alt.Chart(base.data([{"x": place}])).mark_point() for place in range(12)))
    assert list(base.finish(chart, "twelve points")["datasets"]) == [f"rows{place}" for place in range(12)]
