"""The life of a request: why it was made, by when it is to be answered, refusals, who was told, and pseudonyms."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from dkvb.cli import app
from dkvb.deletion import answering, exact, forget, ledger, purge, receipt, restore, verify
from dkvb.errors import SettingsClash
from dkvb.recipe import Recipe
from dkvb.records.filing import Pseudonym
from dkvb.stages import report
from dkvb.workspace import request_table, request_writing, requests
from dkvb.workspace.artifacts import Workspace


@pytest.fixture
def masks(trained: Recipe) -> Recipe:
    return trained.with_(unlearn={"method": ["activations"], "counts": "last-epoch", "na": 60})


@pytest.fixture
def places(masks: Recipe, workspace: Workspace) -> list[str]:
    return ["--recipe", "tiny.toml", "--data-dir", str(workspace.root), "--reports-dir", str(workspace.reports)]


def call(places: list[str], *words: str, code: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*words, *places, "--json"])
    assert result.exit_code == code, result.output
    return dict(json.loads(result.stdout))


def events(workspace: Workspace) -> list[str]:
    found = ledger.verify(workspace)
    assert (found.problems, found.not_checked) == ([], [])
    return [entry.event for entry in found.ledger]


def test_reason_refusal_and_who_was_told_are_in_the_ledger(places: list[str], workspace: Workspace) -> None:
    call(places, "forget", "cat", "--na", "60", "--reason", "asked by letter")
    (row,) = call(places, "requests", "r0001", "--notified", "partner", "--notified", "archive")["requests"]
    assert [notice["who"] for notice in row["notified"]] == ["partner", "archive"]
    call(places, "requests", "r0001", "--notified", "partner")
    (row,) = call(places, "requests", "--refuse", "r0001", "--because", "a pending claim")["requests"]
    assert (row["state"], row["refused"]["because"], row["reason"]) == (
        "restored",
        "a pending claim",
        "asked by letter",
    )
    assert row["answered"] == row["refused"]["time"]
    call(places, "requests", "--refuse", "r0001", "--because", "again")
    assert events(workspace) == ["masked", "notified", "notified", "restored", "refused"]
    entries = ledger.entries(workspace)
    assert (entries[0].reason, entries[4].because) == ("asked by letter", "a pending claim")
    assert [entry.notified for entry in entries[1:3]] == ["partner", "archive"]


def test_what_goes_together_is_asked_for_together(places: list[str], workspace: Workspace) -> None:
    call(places, "requests", "--refuse", "r0001", code=2)
    call(places, "requests", "--because", "x", code=2)
    call(places, "requests", "r0001", code=2)
    call(places, "requests", "--notified", "x", code=2)
    call(places, "forget", "--samples", "ids.txt", "--pseudonym", code=2)
    assert call(places, "requests") == {"requests": []}


def test_a_purged_request_cannot_be_refused(masks: Recipe, workspace: Workspace) -> None:
    forget.run(masks, workspace, ["cat"])
    purge.run(masks, workspace, "r0001")
    with pytest.raises(SettingsClash, match="nothing left to refuse"):
        answering.refuse(masks, workspace, "r0001", "late")
    answering.notify(workspace, "r0001", ["partner"])
    assert events(workspace) == ["masked", "purged", "notified"]


def test_killed_before_the_ledger_a_refusal_is_caught_up_with(masks: Recipe, workspace: Workspace) -> None:
    forget.run(masks, workspace, ["cat"])
    answering.notify(workspace, "r0001", ["partner"])
    request = requests.find(workspace, "r0001")
    told = [*(request.record.notified or []), answering.Notice(time="2030-01-01T00:00:00+00:00", who="archive")]
    request_writing.change(request, notified=told, unrecorded="notified")
    ledger.catch_up(workspace)
    ledger.catch_up(workspace)
    assert [entry.notified for entry in ledger.entries(workspace)] == [None, "partner", "archive"]
    assert events(workspace)[-1] == "notified"


def test_days_and_deadline(masks: Recipe, workspace: Workspace) -> None:
    forget.run(masks, workspace, ["cat"])
    opened = datetime.fromisoformat(requests.find(workspace, "r0001").record.created).date()

    def on(days: int) -> Any:
        (row,) = request_table.rows(workspace, 30, opened + timedelta(days))
        return row

    assert (on(0).days, on(0).overdue, on(0).deadline) == (0, False, (opened + timedelta(30)).isoformat())
    assert (on(30).days, on(30).overdue) == (30, False)
    assert (on(31).days, on(31).overdue, on(31).answered) == (31, True, None)
    purge.run(masks, workspace, "r0001")
    assert (on(31).days, on(31).overdue) == (0, False)
    assert on(31).answered == requests.find(workspace, "r0001").record.purge.finished  # type: ignore[union-attr]
    assert request_table.rows(workspace, 5, opened)[0].deadline == (opened + timedelta(5)).isoformat()


def test_the_recipe_sets_the_days(places: list[str], workspace: Workspace) -> None:
    with open("tiny.toml", "a", encoding="utf-8") as file:
        file.write("[deletion]\ndays = 7\n")
    call(places, "forget", "cat", "--na", "60")
    (row,) = call(places, "requests")["requests"]
    made = date.fromisoformat(row["created"][:10])
    assert row["deadline"] == (made + timedelta(7)).isoformat()


def test_the_report_has_a_page_of_all_requests(masks: Recipe, workspace: Workspace) -> None:
    forget.run(masks, workspace, ["cat"], reason="<b>asked</b>")
    forget.run(masks, workspace, ["dog"])
    verify.run(masks, workspace, quick=True)
    receipt.run(workspace, "r0001")
    answering.notify(workspace, "r0002", ["partner & co"])
    report.run(masks, workspace)
    page = (workspace.reports / "requests.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;asked" in page
    assert "partner &amp; co" in page
    assert 'href="receipts/r0001-cat.html"' in page
    assert "r0002-dog" in page
    for name in ("r0001-cat.json", "r0001-cat.html"):
        assert (workspace.reports / "receipts" / name).is_file()
    index = (workspace.reports / "index.html").read_text(encoding="utf-8")
    assert 'href="requests.html"' in index
    assert 'href="receipts/r0001-cat.html"' in index
    (row, other) = request_table.rows(workspace, 30)
    assert row.receipt == str(workspace.root / "receipts" / "r0001-cat.json")
    assert (other.receipt, row.verdict) == (None, other.verdict)
    assert row.verdict in ("passed", "failed", "not-shown")


def holding(folder: Path, word: bytes) -> list[str]:
    return [str(path) for path in sorted(folder.rglob("*")) if path.is_file() and word in path.read_bytes()]


def test_a_pseudonym_keeps_a_name_out_of_all_that_stays(masks: Recipe, workspace: Workspace) -> None:
    """airplane is a person here: the name is in the request until the purge, and never in ledger or receipt."""
    own = masks.with_(unlearn={"na": "auto"})
    (entry,) = forget.run(own, workspace, ["airplane"], reason="airplane wrote", pseudonym=True)
    assert entry.names == ["airplane"]
    alias = requests.find(workspace, "r0001").record.pseudonym
    assert alias is not None
    assert entry.request == f"r0001-{alias.names[0]}"
    assert alias.names == Pseudonym.of(["airplane"], alias.salt).names != Pseudonym.of(["airplane"]).names
    forget.run(own, workspace, ["dog"])
    verify.run(own, workspace, quick=True)
    answering.notify(workspace, "r0001", ["airplane's partner"])
    receipt.run(workspace, "r0001")
    found = ledger.verify(workspace)
    assert (found.problems, found.not_checked) == ([], [])
    verified = next(one for one in found.ledger if one.event == "verified")
    assert verified.measured is not None
    assert list(verified.measured.forget_test) == alias.names
    request = requests.find(workspace, "r0001").path / requests.REQUEST

    def in_records() -> list[str]:
        places = [workspace.root / part for part in ("requests", "receipts")]
        return [*holding(places[0], b"airplane"), *holding(places[1], b"airplane")]

    assert in_records() == [str(request)]
    assert b"airplane" not in (workspace.root / ledger.LEDGER).read_bytes()
    purge.run(own, workspace, "r0001")
    receipt.run(workspace, "r0001")
    assert in_records() == []
    assert alias.salt
    assert holding(workspace.root / "requests", alias.salt.encode()) == []
    assert holding(workspace.reports, b"airplane") == []
    after = ledger.verify(workspace)
    assert (after.problems, after.not_checked) == ([], [])
    issued = json.loads((workspace.root / "receipts" / f"r0001-{alias.names[0]}.json").read_text("utf-8"))
    assert [one["name"] for one in issued["classes"]] == alias.names
    assert any("Names are pseudonyms" in line for line in issued["not_claimed"])


def test_a_name_that_is_not_that_of_its_pseudonym_is_told(masks: Recipe, workspace: Workspace) -> None:
    forget.run(masks, workspace, ["cat"], pseudonym=True)
    path = requests.find(workspace, "r0001").path / requests.REQUEST
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**record, "names": ["dog"]}), encoding="utf-8")
    assert "its names are not those that its pseudonyms were made of" in str(ledger.verify(workspace).problem)


def test_an_exact_request_has_pseudonym_and_reason_too(masks: Recipe, workspace: Workspace) -> None:
    (entry,) = exact.classes(masks, workspace, ["airplane"], reason="why", pseudonym=True)
    assert (entry.names, entry.reason) == (["airplane"], "why")
    exact.samples(masks, workspace, np.array([5, 6]), reason="two pictures")
    restore.run(masks, workspace, "r0002")
    assert events(workspace) == ["masked", "masked", "exact", "restored"]
    assert b"airplane" not in (workspace.root / ledger.LEDGER).read_bytes()
    assert ledger.entries(workspace)[1].reason == "two pictures"
