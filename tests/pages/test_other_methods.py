"""Methods that the registry does not know, of another package or since removed, on every page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dkvb.pages.charts.palette import look
from dkvb.pages.facts.collect import collect
from dkvb.pages.facts.run_tables import measures
from dkvb.pages.facts.runs import MethodResult, ReportRun
from dkvb.pages.facts.setups import Made
from dkvb.records.unlearn import UnlearnResult
from dkvb.workspace.finished import Artifact
from fakes import PAIRS, Fake, workspace_at
from page_text import payload, text, written


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """A method that masks pairs and was swept, and one that does not, beside the registry's own."""
    fake = Fake(workspace_at(tmp_path))
    trained = fake.train()
    fake.sweep(trained, "activations", 200_000)
    fake.unlearn(trained, "activations", 180_000)
    fake.sweep(trained, "pair-noise", 5000, n_name="N_x")
    fake.unlearn(trained, "pair-noise", 4000, masked=4000, n_name="N_x")
    fake.unlearn(trained, "flip-signs", 1, note="made elsewhere")
    return fake


def test_each_goes_by_its_own_name_in_the_neutral_look(fake: Fake) -> None:
    index, [page] = written(fake.workspace)
    others = [path.read_text(encoding="utf-8") for path in fake.workspace.reports.glob("*-*.html")]
    assert (look("pair-noise").name, look("pair-noise").colour) == ("pair noise", "other")
    for html in (index, page, *others, (fake.workspace.reports / "paper.html").read_text(encoding="utf-8")):
        assert "pair noise" in text(html) or "Inside the bottleneck" in text(html)
    assert "flip signs" in text(page)
    assert "Note: made elsewhere" in text(page)
    assert re.search(r"<i>N</i><sub>x</sub> = 4,000", page)


def test_one_that_masks_has_a_curve_and_a_dial(fake: Fake) -> None:
    _, [page] = written(fake.workspace)
    drawn = payload(page)
    assert [(dial["method"], dial["symbol"], dial["start"]) for dial in drawn["dial"]] == [
        ("activations", "N_a", 180_000),
        ("pair-noise", "N_x", 4000),
    ]
    assert drawn["charts"]["curve-pair-noise"]["datasets"]["rows0"][-1]["n"] == 5000
    assert "@other" in str(drawn["charts"]["dial-tradeoff"])
    assert f"4,000 pairs masked, {100 * 4000 / PAIRS:.1f}% of all" in text(page)
    assert "chart-p0-curve-pair-noise" in (fake.workspace.reports / "paper.html").read_text(encoding="utf-8")


def test_one_that_masks_leads_where_no_other_does(tmp_path: Path) -> None:
    fake = Fake(workspace_at(tmp_path))
    trained = fake.train()
    fake.unlearn(trained, "logit-mask", 1)
    fake.unlearn(trained, "pair-noise", 4000, gain=0.01, masked=4000, n_name="N_x")
    _, [page] = written(fake.workspace)
    assert "pair noise, one seed" in text(page)
    assert "That beats the logit mask" in text(page)


def test_metrics_are_shown_where_a_result_holds_some(fake: Fake) -> None:
    artifacts = [one for one in fake.workspace.all("unlearn") if one.settings["method"] == "flip-signs"]
    values = [({"before": 0.5, "after": 0.25}), ({"before": 0.7, "after": None})]

    def made(artifact: Artifact, pair: dict[str, float | None]) -> Made[UnlearnResult]:
        held = {**artifact.result, "measures": {"worst-retained": pair}}
        return Made(artifact, UnlearnResult.model_validate(held), setup)

    setup = None
    result = MethodResult("flip-signs", setup, [made(artifacts[0], pair) for pair in values])
    [row] = measures(ReportRun(setup, (1,), [result]))
    assert (row.name, row.before.mean, row.after.mean, row.after.count) == ("worst-retained", 0.6, 0.25, 1)
    assert measures(ReportRun(setup, (1,), [])) == []


def test_one_that_alters_values_as_well_is_no_mask(tmp_path: Path) -> None:
    fake = Fake(workspace_at(tmp_path))
    trained = fake.train()
    fake.sweep(trained, "activations", 200_000)
    fake.unlearn(trained, "activations", 180_000)
    fake.sweep(trained, "own-votes", 1, steps=1)
    fake.unlearn(trained, "own-votes", 1, masked=900, keeps="weights")
    (run,) = collect(fake.workspace).runs
    assert run.masking == ["votes", "activations", "examples"]
    assert list(run.masking_sweeps) == ["activations"]
    _, [page] = written(fake.workspace)
    assert "curve-own-votes" not in payload(page)["charts"]
    assert "Own votes taken back (ours)" in text(page)
    [inside] = fake.workspace.reports.glob("bottleneck-*.html")
    assert "own votes taken back (ours), seed 0, is missing" not in inside.read_text(encoding="utf-8")
