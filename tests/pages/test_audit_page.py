"""The page of an audit: its table, its charts, its data, and its place among the report's pages."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from audited import DISTANCE, KLOM, RETAIN, audit, entry, kind, measured, stored
from dkvb.pages import audit as audit_page
from dkvb.pages.charts.audit import LINES, place_names
from dkvb.recipe import Recipe
from dkvb.records.audit import Audit
from dkvb.stages import report
from dkvb.workspace.artifacts import Workspace
from fakes import Fake, workspace_at
from page_text import Loads, payload, text


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One with a trained model and an audit."""
    made = workspace_at(tmp_path)
    Fake(made).train()
    stored(made, audit())
    return made


def cells(html: str, label: str) -> list[str]:
    """The cells of a method's row, tags and all."""
    row = re.search(rf'<th scope="row" data-value="{re.escape(label)}".*?</tr>', html, re.DOTALL)
    assert row, label
    return re.findall(r"<td.*?</td>", row[0], re.DOTALL)


def html(made: Audit | None = None) -> str:
    return audit_page.content(made or audit()).html


def test_the_table_holds_values_intervals_and_marks() -> None:
    votes = cells(html(), "Masking by votes (ours)")
    # the measure that ranks comes first
    assert text(votes[0]).strip() == "0.300 0.290 to 0.310"
    assert "best" not in votes[0].split(">")[0]
    retain = votes[1]
    assert 'class="number alike best"' in retain
    assert 'data-value="0.97"' in retain
    assert text(retain).strip() == "≈ 0.970 0.960 to 0.980"
    assert 'class="number best"' in cells(html(), "activations")[0]


def test_costs_stand_beside_measures() -> None:
    assert [text(cell).strip() for cell in cells(html(), "activations")[-4:]] == ["0.2 s", "–", "3.0 M", "2.0 kB"]
    retrained = cells(html(), "retrained")
    assert text(retrained[-4]).strip() == "2.5 s"
    nothing = cells(html(), "original")
    assert 'title="nothing is run"' in nothing[-4]
    assert [text(cell).strip() for cell in nothing[-4:]] == ["–"] * 4


def test_a_missing_number_is_a_dash_with_its_reason() -> None:
    page = html()
    missing = cells(page, "POUR")[2]
    assert text(missing).strip() == "–"
    assert 'data-value=""' in missing
    assert unescape(re.search('title="(.*?)"', missing)[1]) == f"POUR, {KLOM}: needs <margins>"
    assert "Missing for POUR: needs <margins>." in text(page)
    [failed] = cells(page, "esc")
    assert "Failed: it is singular" in text(failed)
    assert "1 method failed: esc." in text(page)


def test_methods_are_ranked_within_their_kind_and_own_ones_marked() -> None:
    page = html()
    names = re.findall(
        r'<th scope="row" data-value="(\w+)', page.split('<div class="scroll matrix"')[1].split("</table>")[0]
    )
    assert names == ["retrained", "original", "activations", "Masking", "retrained", "POUR", "esc"]
    assert page.count('<span class="tag">not in the paper</span>') == 1
    assert "<i>N</i><sub>v</sub> 1,000" in page
    assert "On the linear head" in text(page)


def test_the_picture_has_a_mark_for_each_that_was_measured() -> None:
    charts = payload(html())["charts"]
    picture = charts["picture"]
    rows = [row for row in picture["datasets"]["rows0"] if row["m"] == DISTANCE]
    assert [(row["what"], row["v"], row["retain"], row["took"]) for row in rows] == [
        ("original, values", 0.9, 0.98, "–"),
        ("retrained, values", 0.1, 0.97, "2.5 s"),
        ("activations", 0.2, 0.95, "0.2 s"),
        ("retrained, linear head", 0.1, 0.97, "2.5 s"),
        ("POUR", 0.125, 0.9, "0.2 s"),
        # on top of the others
        ("Masking by votes (ours)", 0.3, 0.97, "2.0 s"),
    ]
    assert [option["value"] for option in picture["usermeta"]["choose"][0]["options"]] == [DISTANCE, KLOM]
    assert [entry["name"] for entry in picture["usermeta"]["legend"]] == [
        "retrained without the class",
        "nothing unlearned",
        "on values",
        "on linear head",
        "ours, not in the paper",
    ]
    assert len(charts) == 6


def test_each_measure_has_a_sentence_and_says_whether_it_works() -> None:
    page = text(html())
    assert "What membership is (Source et al. 2024)." in page
    assert "0.04 is of this value alone" not in page
    works = page.split("Do the measures work?")[1].split("What so many models can show")[0]
    # name, kind, null, threshold, do-nothing line, separation, what follows
    assert "destinations, each values 0.100 0.080 to 0.120 0.900 100.0% Works." in works
    assert "membership values 0.040 0.010 to 0.090 0.050 62.0% Does not work here." in works
    assert "tug of war values 0.990 0.980 to 1.000 0.000 90.0% Mostly works." in works
    assert "retain accuracy values 0.970 0.960 to 0.980 0.980 70.0% Says what the others pay." in works
    assert f"{KLOM} Noise: 10 models a side, and it needs about 50 values 5.000 4.000 to 6.000 10.0 – Noise." in works
    # without a separation of its own, doing nothing is held against retrained models
    enough = text(html(audit(oracles=100, unlearned=50)))
    assert f"{KLOM} values 5.000 4.000 to 6.000 10.0 – Works." in enough


def test_too_few_models_are_said_beside_the_number_and_enough_are_not() -> None:
    assert html().count("Noise: 10 models a side, and it needs about 50") == 3
    assert "noise" not in html(audit(oracles=100, unlearned=50)).lower()


def test_somebody_elses_outputs_make_a_page_of_what_there_is() -> None:
    klom = measured(KLOM, 7.0, nothing=None, null_low=None, null_high=None)
    name = "Wasserstein-1 of margins, all points"
    other = klom.model_copy(update={"name": name})
    given = entry("theirs", {}, "given", measures={KLOM: klom, name: other}, seconds=None)
    page = html(audit(kinds=[], entries=[given], forget=[], forget_names=[], oracles=1, unlearned=1))
    assert "Forgetting a class : how close" in text(page)
    assert "Beside it stands 1 model that was retrained" in text(page)
    assert "Masking by votes" not in text(page)
    assert "picture" not in payload(page)["charts"]
    assert f"{name} given 5.000 – – – Not known: there is no threshold." in text(page)


def test_nothing_measured_makes_a_page_that_says_so() -> None:
    failed = entry("votes", {}, error="no values")
    page = html(audit(entries=[failed], kinds=[kind("values")]))
    assert "No distance from retrained models could be measured" in text(page)
    assert payload(page) is None


def test_the_data_are_those_of_the_record() -> None:
    tables = audit_page.content(audit()).tables
    row = tables["measures"].filter((pl.col("method") == "votes") & (pl.col("name") == RETAIN)).row(0, named=True)
    assert (row["value"], row["low"], row["null_high"], row["at_null"]) == (0.97, 0.96, 0.98, True)
    missing = tables["measures"].filter(pl.col("missing").is_not_null())
    assert missing.select("method", "name", "value", "missing").rows() == [("pour", KLOM, None, "needs <margins>")]
    costs = tables["entries"].select("method", "seconds", "seconds_choosing", "bytes", "error")
    assert costs.row(2) == ("votes", 0.5, 1.5, None, None)
    assert costs.row(6)[4] == "it is singular"


def test_the_report_lists_it_and_makes_a_damaged_one_again(workspace: Workspace) -> None:
    [made] = report.run(Recipe(), workspace)
    [page] = [Path(one) for one in made.pages if Path(one).name.startswith("audit-")]
    assert page.name.startswith("audit-digits-one-seed0-")
    index = (workspace.reports / "index.html").read_text(encoding="utf-8")
    assert f'<a href="{page.name}">Audit: one forgotten in digits</a>' in index
    assert "3 methods beside 20 retrained models, seed 0" not in text(index)
    assert "4 methods beside 20 retrained models, seed 0" in text(index)
    data = workspace.reports / "data" / f"{page.stem}-measures.parquet"
    assert pl.read_parquet(data).height > 0
    before = page.read_bytes()
    assert report.run(Recipe(), workspace)[0].written == 0
    for gone in (page, data):
        gone.unlink()
        assert report.run(Recipe(), workspace)[0].written == 1
        assert page.read_bytes() == before
        assert data.is_file()


def test_an_audit_alone_can_be_reported(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path)
    stored(workspace, audit())
    [made] = report.run(Recipe(), workspace)
    assert [Path(one).name.split("-")[0] for one in made.pages] == ["audit"]
    assert "Audit: one forgotten in digits" in Path(made.index).read_text(encoding="utf-8")


def test_names_are_escaped() -> None:
    hostile = "</script><img src=x>"
    bad = entry("theirs", {DISTANCE: 0.2, RETAIN: 0.9}, label=hostile, note=hostile, settings=hostile)
    page = html(audit(forget_names=[hostile], entries=[bad]))
    assert "img" not in Loads(page).tags
    assert hostile in unescape(page)


def test_names_lie_on_no_mark_and_on_no_other_name():
    def mark(v: float, retain: float, text: str = "") -> dict[str, Any]:
        return {"v": v, "retain": retain, "text": text}

    def lines(rows: list[dict[str, Any]]) -> list[int | None]:
        """Pixels from marks down to their names, of 400 for accuracies from 0.5 to 1."""
        place_names(rows)
        return [round((row["retain"] - row["name_retain"]) * 800) if row["text"] else None for row in rows]

    assert lines([mark(0.1, 1.0, "first"), mark(1.0, 0.5)]) == [LINES[0], None]
    # a mark lies 29 pixels to the right and 12 above: there the name would lie on it
    beside = mark(0.53, 0.765)
    rows = [mark(0.5, 0.75, "first"), mark(0.5, 0.75, "second"), beside, mark(1.0, 0.5), mark(0.0, 1.0)]
    assert lines(rows) == [LINES[1], LINES[3], None, None, None]
    assert rows[0]["name_v"] == pytest.approx(0.5 + 10 / 960)
