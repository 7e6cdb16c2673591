"""Pictures on pages: the right samples, with what the model takes them for, and no more than a megabyte of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import trained_seed
from dkvb.cli import app
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.pages.facts import look_ups, pair_pictures
from dkvb.pages.facts.answers import answers
from dkvb.pages.facts.collect import collect
from dkvb.pages.facts.pictures import ROOM, Sheet, class_name, samples
from dkvb.pages.facts.runs import ReportRun
from dkvb.pictures.album import Album
from dkvb.pictures.index import Row
from dkvb.recipe import Recipe
from dkvb.stages import report, train, unlearn
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from pictured import COLOURS, TEST, WHALE, animal, on_page
from read_only import on_a_read_only_disk

NAMES = list(COLOURS)
IMAGE = re.compile(r'<img class="thumb[^>]*>')


def the_run(workspace: Workspace) -> tuple[ReportRun, np.ndarray]:
    """The run, and its mask."""
    [run] = collect(workspace).runs
    assert run.lead is not None
    return run, look_ups.mask_of(run.lead.artifacts[0], 8)


def taken_for(trained: TrainedSeed, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Test predictions without the mask and under it, as unlearning measures them."""
    order = trained.no_mask.copy()
    (before,) = masked_predictions(trained.bottleneck, order, [0], "test")
    order[mask] = -1
    (after,) = masked_predictions(trained.bottleneck, order, [0], "test")
    return before, after


@pytest.mark.parametrize("unused", ["keep", "mask"])
def test_samples_are_taken_for_what_unlearning_measures(unused: str, zoo: tuple[Recipe, Workspace]) -> None:
    recipe, workspace = zoo
    recipe = recipe.with_(keys={"unused": unused})
    if unused == "mask":
        shutil.rmtree(workspace.root / "train")
        shutil.rmtree(workspace.root / "unlearn")
        train.run(recipe, workspace)
        unlearn.run(recipe, workspace)
    run, mask = the_run(workspace)
    mask[:3] = True  # many change sides
    mask[:3, 0] = False
    found = answers(run.setup.seeds[0], mask, [WHALE])
    trained = trained_seed(recipe, workspace)
    before, after = taken_for(trained, mask)
    assert found.rows.tolist() == list(range(3 * TEST))
    assert found.labels.tolist() == trained.splits.labels["test"].tolist()
    assert found.before.tolist() == before.tolist()
    assert found.after.tolist() == after.tolist()
    assert (before != after).sum() > 3


def test_of_many_samples_evenly_spaced_ones(zoo: tuple[Recipe, Workspace], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dkvb.pages.facts.answers.LOOKED_AT", 3)
    monkeypatch.setattr("dkvb.pages.facts.answers.FORGOTTEN", 2)
    run, mask = the_run(zoo[1])
    found = answers(run.setup.seeds[0], mask, [WHALE])
    assert found.rows.tolist() == [0, 4, 9, 10, 14]
    before, after = taken_for(trained_seed(*zoo), mask)
    assert found.before.tolist() == before[found.rows].tolist()
    assert found.after.tolist() == after[found.rows].tolist()


def test_the_page_shows_the_forgotten_and_what_changed_sides(zoo: tuple[Recipe, Workspace]) -> None:
    _, workspace = zoo
    run, mask = the_run(workspace)
    page = (workspace.reports / run.page).read_text(encoding="utf-8")
    before, after = taken_for(trained_seed(*zoo), mask)
    labels = np.repeat(np.arange(3), TEST)
    changed = np.flatnonzero((labels != WHALE) & (before != after))
    shown = [*np.flatnonzero(labels == WHALE), *changed]
    said = sorted(
        f"A test sample of {NAMES[labels[i]]}, taken for {NAMES[before[i]]} before and for {NAMES[after[i]]} after"
        for i in shown
    )
    alts = [unescape(found) for found in re.findall(r'<img class="thumb[^>]*? alt="([^"]*)"', page)]
    assert sorted(alts) == said
    assert [animal(picture) for picture in on_page(page)][:TEST] == ["whale"] * TEST
    words = "none is taken for anything else" if not len(changed) else f"{len(changed)} "
    assert words in page


def test_pairs_show_the_training_images_nearest_to_their_keys(zoo: tuple[Recipe, Workspace]) -> None:
    recipe, workspace = zoo
    run, mask = the_run(workspace)
    model, seed = run.setup.seeds[0], trained_seed(recipe, workspace)
    sheet = Sheet(Album(workspace, recipe.data), run.setup.embed)
    found = pair_pictures.pair_pictures(sheet, model, mask, [WHALE], look_ups.Counts(model))
    assert found
    bottleneck, rows = seed.bottleneck, seed.splits.rows["train"]
    counts = seed.class_counts([WHALE]) * mask
    assert counts[found[0].codebook, found[0].pair] == counts.max()
    for one in found:
        assert mask[one.codebook, one.pair]
        mine = np.flatnonzero((bottleneck.codes("train")[one.codebook] == one.pair).any(1))
        labels = seed.splits.labels["train"][mine]
        assert (one.samples, one.of_forgotten) == (len(mine), (labels == WHALE).sum())
        assert not one.shared or one.of_forgotten < one.samples
        features = seed.splits.features_of("train", mine)
        queries = features @ bottleneck.projections(range(one.codebook, one.codebook + 1))[0]
        near = mine[np.argsort(((queries - bottleneck.keys[one.codebook, one.pair]) ** 2).sum(1), kind="stable")]
        wanted = [f"{run.setup.embed.fingerprint[:16]}/train/{rows[i]}" for i in near[: pair_pictures.IMAGES]]
        assert [image.picture.of for image in one.images] == wanted


def images_of(reports: Path) -> Iterable[str]:
    return (found for page in reports.glob("*.html") for found in IMAGE.findall(page.read_text(encoding="utf-8")))


def test_every_picture_is_described_and_no_page_names_a_file(zoo: tuple[Recipe, Workspace]) -> None:
    recipe, workspace = zoo
    every = list(images_of(workspace.reports))
    assert len(every) > 2 * TEST
    assert all(re.search(r' alt="A (test sample|training image) of [^"]+"', image) for image in every)
    assert not any(re.search(r"a-\w+-of-t", page.read_text()) for page in workspace.reports.glob("*.html"))
    [again] = report.run(recipe, workspace)
    assert again.written == 0


def test_without_pictures_those_that_were_kept_go(zoo: tuple[Recipe, Workspace], animals: Path) -> None:
    recipe, workspace = zoo
    (workspace.reports / "verify.html").write_text("".join(images_of(workspace.reports)))
    report.run(recipe.with_(report={"pictures": False}), workspace)
    assert list(images_of(workspace.reports)) == []
    assert list((workspace.root / "pictures").glob("*")) == []
    report.run(recipe, workspace)
    assert list(images_of(workspace.reports))


def test_a_workspace_that_cannot_be_written_gets_pages_without_new_pictures(
    zoo: tuple[Recipe, Workspace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, workspace = zoo
    shutil.rmtree(workspace.root / "pictures")
    on_a_read_only_disk(workspace.root, monkeypatch)
    report.run(recipe, Workspace(workspace.root, tmp_path / "elsewhere"))
    assert (tmp_path / "elsewhere/index.html").is_file()
    assert list(images_of(tmp_path / "elsewhere")) == []


class Many:
    """An album of pictures that are too large."""

    def of(self, features: Artifact, rows: Iterable[Row]) -> dict[Row, bytes]:
        return {row: self.picture + row[1].to_bytes(2, "big") for row in rows}

    def __init__(self, picture: bytes) -> None:
        self.picture = picture


def test_a_page_holds_less_than_a_megabyte_of_them(zoo: tuple[Recipe, Workspace]) -> None:
    recipe, workspace = zoo
    run, mask = the_run(workspace)
    [one] = Album(workspace, recipe.data).of(run.setup.embed, [("test", 0)]).values()
    sheet = Sheet(Many(one + bytes(100_000)), run.setup.embed)  # type: ignore[arg-type]
    shown = samples(sheet, answers(run.setup.seeds[0], mask, [WHALE]), [WHALE], NAMES)
    assert len(shown.forgotten) == TEST
    more = sheet.of([("train", row) for row in range(30)])
    assert len(more) == ROOM // len(shown.forgotten[0].picture.uri) - TEST - len(shown.changed)
    assert sheet.room >= 0


def test_the_page_of_a_verdict_shows_them_beside_the_oracle(zoo: tuple[Recipe, Workspace], animals: Path) -> None:
    _, workspace = zoo
    places = ["--recipe", str(animals / "pictured.toml"), "--data-dir", str(workspace.root)]
    for words in (["forget", "whale", "--method", "activations", "--na", "30"], ["verify", "--quick"]):
        result = CliRunner().invoke(app, [*words, *places, *(["--reports-dir", str(workspace.reports)])])
        assert result.exit_code in (0, 1), result.output
    page = (workspace.reports / "verify.html").read_text(encoding="utf-8")
    assert [animal(picture) for picture in on_page(page)][:TEST] == ["whale"] * TEST
    assert len(re.findall(r'alt="A test sample of whale, [^"]*, by the oracle for (?:fox|frog)"', page)) == TEST


def test_classes_of_one_name_are_told_apart() -> None:
    assert [class_name(i, ["owl", "crane", "crane"]) for i in range(3)] == ["owl", "1 crane", "2 crane"]
    long = "a bird with a very long name " * 2
    assert class_name(0, [f"{long} grey"]) == "a bird with a very long na…name  grey"
    assert class_name(1, [f"{long} grey", f"{long} red"]) == "a bird with a very long na…name  red"
