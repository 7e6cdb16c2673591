"""The report: numbers as in the artifacts, pages that load nothing from elsewhere, and rebuilding what has changed."""

from __future__ import annotations

import json
import re
import shutil
import statistics
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from dkvb.errors import MissingStage
from dkvb.evaluation.splits import Splits
from dkvb.metrics.intervals import stat
from dkvb.pages import bottleneck, compare
from dkvb.pages.facts.collect import collect
from dkvb.recipe import Recipe
from dkvb.runtime import progress
from dkvb.stages import report
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from fakes import Fake, made_up, real, workspace_at


@pytest.fixture(autouse=True)
def _quiet():
    progress.silence()
    yield
    progress.silence(False)


def written(workspace: Workspace) -> tuple[str, list[str]]:
    [entry] = report.run(Recipe(name="test"), workspace)
    assert entry["seconds"] >= 0
    runs = {run.page for run in collect(workspace).runs}
    assert runs <= {Path(page).name for page in entry["pages"]}
    return Path(entry["index"]).read_text(encoding="utf-8"), [
        Path(page).read_text(encoding="utf-8") for page in entry["pages"] if Path(page).name in runs
    ]


def text(html: str) -> str:
    """A page's words, without its scripts and style."""
    html = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def payload(html: str) -> Any:
    """What a page's charts are drawn from; None where it has none."""
    found = re.search(r'id="payload">(.*?)</script>', html, re.DOTALL)
    return json.loads(found[1]) if found else None


class Loads(HTMLParser):
    """Addresses that a page would load or link to, and its elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "poster", "action")]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Three seeds of everything: workspace, index and the run's page."""
    workspace = made_up(tmp_path_factory.getbasetemp())
    [run] = collect(workspace).runs
    return workspace, *((workspace.reports / name).read_text(encoding="utf-8") for name in ("index.html", run.page))


def test_without_a_model_it_names_the_command_and_writes_nothing(tmp_path):
    with pytest.raises(MissingStage, match="dkvb train"):
        report.run(Recipe(), workspace_at(tmp_path))
    assert not (tmp_path / "reports").exists()


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
    half = 4.3027 * statistics.stdev(after) / 3**0.5  # Student's t at 97.5% with two degrees of freedom
    expected = f"{100 * statistics.fmean(after):.1f}% ± {100 * half:.1f} (sd {100 * statistics.stdev(after):.1f})"
    assert expected in text(page)
    assert expected in text(index)
    for words in ("96.5%", "180,000", "1,048,576", "not given by the paper", "mean over 3 seeds ± 95% interval"):
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


def test_the_verdict_admits_that_the_control_does_better(full):
    assert "by accuracy alone, masking does not beat it" in text(full[2])


def test_nothing_missing_is_claimed_when_all_is_there(full):
    assert "Not done yet" not in text(full[2])


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


HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><b>x", "{{ 7*7 }}", "日本語 & co"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_class_names_are_escaped(tmp_path, hostile):
    fake = Fake(workspace_at(tmp_path), ["a", hostile, "c"])
    fake.everything()
    index, [page] = written(fake.workspace)
    others = [path.read_text(encoding="utf-8") for path in fake.workspace.reports.glob("*-*.html")]
    for html, scripts in ((index, 1), (page, 5)):
        tags = Loads(html).tags
        assert tags.count("script") == scripts
        assert "img" not in tags
        assert "</script><b>" not in html
        assert "<script>alert" not in html
        assert hostile in unescape(html)
    assert len(others) == 3
    for html in others:
        assert "img" not in Loads(html).tags
        found = payload(html)
        assert found is None or hostile in json.dumps(found, ensure_ascii=False).replace('\\"', '"')


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


def test_a_linear_method_appears_on_the_run_of_its_embedding_only(full, tmp_path):
    assert "SCRUB on the linear head" in text(full[2])
    one = Fake(workspace_at(tmp_path))
    one.everything()
    other = Fake(one.workspace, ["x", "y", "z"], source="digits")
    other.unlearn(other.train(), "activations", 5)
    _, pages = written(one.workspace)
    assert sorted("SCRUB on the linear head" in text(page) for page in pages) == [False, True]


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


def test_two_settings_of_a_method_are_told_apart(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    trained = fake.train()
    fake.unlearn(trained, "activations", 180_000)
    fake.unlearn(trained, "activations", 150_000, left=0.05, chosen="validation")
    _, [page] = written(fake.workspace)
    assert "N = 180,000" in text(page)
    assert "activations, N chosen on validation data" in text(page)


def test_stale_pages_go_and_other_files_stay(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    gone = fake.unlearn(fake.train(), "activations", 180_000)
    written(fake.workspace)
    [page] = fake.workspace.reports.glob("cifar-10-*.html")
    mine = fake.workspace.reports / "mine.html"
    mine.write_text("mine")
    outside = tmp_path / "outside.html"
    outside.write_text("outside")
    listing = fake.workspace.reports / "data" / "pages.json"
    listed = json.loads(listing.read_text()) | {
        "../outside.html": {"key": "", "files": ["../outside.html", "mine.html/../../outside.html"]}
    }
    listing.write_text(json.dumps(listed | {"index.html": {"key": "", "files": []}}))
    shutil.rmtree(gone.path)
    _, pages = written(fake.workspace)
    assert pages == []
    assert not page.exists()
    assert not list((fake.workspace.reports / "data").glob("cifar-10-*.parquet"))
    assert not list(fake.workspace.reports.glob("compare-*"))
    assert mine.exists()
    assert outside.exists()
    assert (fake.workspace.reports / "index.html").exists()


def test_artifacts_whose_origin_is_gone_are_counted_not_shown(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    lost = fake.train(seed=1)
    fake.unlearn(lost, "activations", 9)
    fake.unlearn(fake.train(), "activations", 180_000)
    shutil.rmtree(lost.path)
    index, [page] = written(fake.workspace)
    assert "1 artifact was left out" in text(index)
    assert "one seed" in text(page)


def test_only_what_has_changed_is_written_again(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    fake.unlearn(fake.train(), "activations", 180_000)
    [first] = report.run(Recipe(), fake.workspace)
    assert first["written"] == len(first["pages"]) >= 3
    before = {
        path: path.stat().st_mtime_ns
        for path in fake.workspace.reports.rglob("*")
        if path.suffix in (".html", ".parquet")
    }
    [second] = report.run(Recipe(), fake.workspace)
    assert second["written"] == 0
    assert {path for path, made in before.items() if path.stat().st_mtime_ns != made} == {
        fake.workspace.reports / "index.html"
    }
    other = Fake(fake.workspace, ["x", "y", "z"], source="digits")
    other.unlearn(other.train(), "activations", 5)
    [third] = report.run(Recipe(), fake.workspace)
    assert third["written"] >= 3
    assert not [
        path
        for path, made in before.items()
        if path.name.startswith(("cifar-", "comp", "bott")) and path.stat().st_mtime_ns != made
    ]
    [forced] = report.run(Recipe(), fake.workspace, force=True)
    assert forced["written"] == len(forced["pages"]) == len(first["pages"]) + 3


def test_a_page_whose_data_has_gone_or_that_was_not_finished_is_written_again(tmp_path, monkeypatch):
    fake = Fake(workspace_at(tmp_path))
    fake.unlearn(fake.train(), "activations", 180_000)
    report.run(Recipe(), fake.workspace)
    next((fake.workspace.reports / "data").glob("cifar-*-methods.parquet")).unlink()
    [entry] = report.run(Recipe(), fake.workspace)
    assert entry["written"] == 1
    # killed while the run's page was being written
    write = report.write_text
    monkeypatch.setattr(report, "write_text", lambda path, text: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        report.run(Recipe(), fake.workspace, force=True)
    monkeypatch.setattr(report, "write_text", write)
    [entry] = report.run(Recipe(), fake.workspace)
    assert entry["written"] == 1
    assert not list(fake.workspace.reports.rglob(".tmp-*"))


def test_a_listing_of_an_earlier_version_or_none_at_all_is_understood(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    fake.unlearn(fake.train(), "activations", 180_000)
    folder = fake.workspace.reports
    (folder / "data").mkdir(parents=True)
    for name in ("old-run.html", "data/old-run-curve.parquet"):
        (folder / name).write_text("old")
    (folder / "data" / "pages.json").write_text('["old-run.html", "data/old-run-curve.parquet"]')
    written(fake.workspace)
    assert not (folder / "old-run.html").exists()
    assert not (folder / "data" / "old-run-curve.parquet").exists()
    for broken in ("{", "[1]", '{"a.html": 3}', "null"):
        (folder / "data" / "pages.json").write_text(broken)
        [entry] = report.run(Recipe(), fake.workspace)
        assert entry["written"] == len(entry["pages"])


def test_the_interval_is_students():
    found = stat([0.9, 0.92, 0.97])
    assert found.ci95 == pytest.approx(4.302653 * found.sd / 3**0.5)
    assert stat([0.5]).ci95 is None


def test_the_dial_holds_every_step_and_both_choices_of_n(full):
    found = {one["method"]: one for one in payload(full[2])["dial"]}
    dial = found["activations"]
    assert dial["grid"] == [10_000 * step for step in range(21)]
    assert dial["start"] == 180_000
    assert {(choice["n"], choice["text"]) for choice in dial["choices"]} == {
        (180_000, "used"),
        (180_000, "as the paper chooses, on the test curve"),
    }
    assert dial["said"][0]["forget"] == "96.50% ± 0.0 (sd 0.0)"
    rows = payload(full[2])["charts"]["dial-classes"]["datasets"]["rows0"]
    assert len(rows) == (21 + 21) * 10
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
    found = {one.method: one for one in compare.summaries(frame)}
    assert found["activations"].control.mean == pytest.approx(-0.0015, abs=1e-4)
    assert found["activations"].control.count == 4
    assert found["logit-mask"].control is None


def test_a_bottleneck_without_its_counts_says_which_command_makes_them(full):
    [page] = full[0].reports.glob("bottleneck-*.html")
    html = page.read_text(encoding="utf-8")
    assert "dkvb train --force --seed 0" in text(html)
    assert payload(html) is None


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return real(tmp_path_factory.getbasetemp())


def test_what_is_looked_up_instead_is_what_the_methods_predict(trained):
    """The page's own selection under a mask gives the accuracy that the unlearn stage measured."""
    found = collect(trained[1])
    for run in found.runs:
        setup, result = run.setup, run.find("activations")
        seen = bottleneck.look_inside(setup, [run])
        assert seen.lacking == []
        [fall] = seen.masks[0].falls
        [measured] = result.results
        assert fall.after[run.forget[0]] == pytest.approx(measured["after"]["forget_test"])
        assert fall.before[run.forget[0]] == pytest.approx(measured["before"]["forget_test"])
        assert fall.owners.sum() == pytest.approx(1)
        assert seen.masks[0].where[0].sum() == measured["masked"]


def test_overlap_and_usage_are_those_of_the_codes(trained):
    [setup] = [one for one in collect(trained[1]).setups if one.model == "dkvb"]
    [one] = setup.seeds
    seen = bottleneck.look_inside(setup, [])
    splits = Splits(one.embed, 0.2, 0)
    codes = arrays.read(one.quantize, "train/codes")[splits.rows["train"]]
    pairs = [
        {
            (c, int(code))
            for row in np.flatnonzero(splits.labels["train"] == which)
            for c in range(codes.shape[1])
            for code in codes[row, c]
        }
        for which in (0, 2)
    ]
    assert seen.pairs[0, 2] == pytest.approx(len(pairs[0] & pairs[1]) / len(pairs[0]))
    hits = [
        (c, int(code)) in pairs[1]
        for row in np.flatnonzero(splits.labels["train"] == 0)
        for c in range(codes.shape[1])
        for code in codes[row, c]
    ]
    assert seen.lookups[0, 2] == pytest.approx(np.mean(hits))
    assert seen.usage[0].used.tolist() == [len(np.unique(codes[:, c])) for c in range(codes.shape[1])]
    assert np.diag(seen.lookups) == pytest.approx(1)


def test_a_mask_that_has_gone_is_named_and_the_rest_is_shown(trained, tmp_path):
    workspace = workspace_at(tmp_path)
    shutil.copytree(trained[1].root, workspace.root)
    for path in workspace.root.glob("unlearn/*activations*bird*/mask.safetensors"):
        path.unlink()
    report.run(trained[0], workspace)
    [page] = workspace.reports.glob("bottleneck-*.html")
    html = text(page.read_text(encoding="utf-8"))
    assert "dkvb unlearn --force --method activations --seed 0 --forget 1" in html
    assert "class 1" not in html
    assert "What is looked up instead" in html
