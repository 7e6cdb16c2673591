"""The report stage: which pages are written, kept and removed."""

from __future__ import annotations

import json
import shutil

import pytest

from dkvb.errors import MissingStage
from dkvb.recipe import Recipe
from dkvb.stages import report
from fakes import Fake, workspace_at
from page_text import text, written


def test_without_a_model_it_names_the_command_and_writes_nothing(tmp_path):
    with pytest.raises(MissingStage, match="dkvb train"):
        report.run(Recipe(), workspace_at(tmp_path))
    assert not (tmp_path / "reports").exists()


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
    assert first.written == len(first.pages) >= 3
    before = {
        path: path.stat().st_mtime_ns
        for path in fake.workspace.reports.rglob("*")
        if path.suffix in (".html", ".parquet")
    }
    [second] = report.run(Recipe(), fake.workspace)
    assert second.written == 0
    assert {path for path, made in before.items() if path.stat().st_mtime_ns != made} == {
        fake.workspace.reports / "index.html"
    }
    other = Fake(fake.workspace, ["x", "y", "z"], source="digits")
    other.unlearn(other.train(), "activations", 5)
    [third] = report.run(Recipe(), fake.workspace)
    assert third.written >= 3
    assert not [
        path
        for path, made in before.items()
        if path.name.startswith(("cifar-", "comp", "bott")) and path.stat().st_mtime_ns != made
    ]
    [forced] = report.run(Recipe(), fake.workspace, force=True)
    assert forced.written == len(forced.pages) == len(first.pages) + 3


def test_a_page_whose_data_has_gone_or_that_was_not_finished_is_written_again(tmp_path, monkeypatch):
    fake = Fake(workspace_at(tmp_path))
    fake.unlearn(fake.train(), "activations", 180_000)
    report.run(Recipe(), fake.workspace)
    next((fake.workspace.reports / "data").glob("cifar-*-methods.parquet")).unlink()
    [entry] = report.run(Recipe(), fake.workspace)
    assert entry.written == 1
    # killed while the run's page was being written
    write = report.write_text
    monkeypatch.setattr(report, "write_text", lambda path, text: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        report.run(Recipe(), fake.workspace, force=True)
    monkeypatch.setattr(report, "write_text", write)
    [entry] = report.run(Recipe(), fake.workspace)
    assert entry.written == 1
    assert not list(fake.workspace.reports.rglob(".tmp-*"))


def test_a_listing_that_cannot_be_read_leaves_every_page_to_be_made(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    fake.unlearn(fake.train(), "activations", 180_000)
    folder = fake.workspace.reports
    (folder / "data").mkdir(parents=True)
    for broken in ("{", "[1]", '{"a.html": 3}', "null"):
        (folder / "data" / "pages.json").write_text(broken)
        [entry] = report.run(Recipe(), fake.workspace)
        assert entry.written == len(entry.pages)


@pytest.mark.parametrize("damaged", ["compare-*.html", "data/*.parquet", "assets/vega-*.js"])
def test_a_damaged_file_is_made_again(damaged, tmp_path):
    fake = Fake(workspace_at(tmp_path))
    fake.unlearn(fake.train(), "activations", 180_000)
    report.run(Recipe(), fake.workspace)
    file = next(fake.workspace.reports.glob(damaged))
    before = file.read_bytes()
    file.write_bytes(before[:-1] + b"?")
    [entry] = report.run(Recipe(), fake.workspace)
    assert entry.written == (0 if file.suffix == ".js" else 1)
    assert file.read_bytes() == before
    file.unlink()
    report.run(Recipe(), fake.workspace)
    assert file.read_bytes() == before
    assert report.run(Recipe(), fake.workspace)[0].written == 0
