"""Pages answer first: a verdict before all else, one number for one thing, names that are shortened and never cut."""

from __future__ import annotations

import re
from datetime import date
from types import SimpleNamespace

import pytest

from dkvb.metrics.intervals import stat
from dkvb.pages.facts import words
from dkvb.pages.facts.collect import collect
from dkvb.pages.facts.dials import dials
from dkvb.pages.facts.headline import headline, requested
from dkvb.pages.facts.timeline import happenings_table, next_step
from dkvb.pages.page import coded
from dkvb.pages.verify import answer
from dkvb.records.requests import RequestRow
from fakes import Fake, workspace_at
from page_text import payload, text, written


def test_the_index_opens_with_results_then_links(full):
    _, index, _ = full
    body = index.split("<body")[1]
    said = "Not one test image of automobile is recognised any more."
    places = [body.index(part) for part in (said, 'class="run"', 'aria-label="Pages across runs"', "How to read this")]
    assert places == sorted(places)


def test_the_headline_counts_runs_and_names_what_was_not_forgotten(tmp_path):
    fake = Fake(workspace_at(tmp_path))
    trained = fake.train()
    for forget, left, gain in ((1, 0.0, 0.004), (4, 0.3, -0.04)):
        fake.forget = forget
        fake.unlearn(trained, "activations", 180_000 + forget, gain, left)
    runs = collect(fake.workspace).runs
    assert headline(runs) == (
        "Forgotten in 1 of 2 runs, not in: deer (30.0% still recognised)."
        " The classes that stay lose most, 4.0 points, where deer is forgotten."
    )
    kept = [run for run in runs if run.names == ["automobile"]]
    assert headline([*kept, *kept]) == (
        "Forgotten in both runs: of the forgotten classes not one test image is recognised."
        " Accuracy on the classes that stay falls in none of them."
    )


def test_the_dial_says_what_the_headline_says(tmp_path):
    """Also where the N that was used was not swept, and where seeds differ in it."""
    fake = Fake(workspace_at(tmp_path))
    for seed, n in ((0, 957), (1, 984)):
        trained = fake.train(seed=seed)
        fake.sweep(trained, "votes", 2000)
        fake.unlearn(trained, "votes", n, left=0.028, chosen="validation")
    [run] = collect(fake.workspace).runs
    [dial] = dials(run)
    at = dial.said[dial.grid.index(dial.start)]
    assert dial.start == 970  # the mean of both, as the tile of pairs hidden says
    assert (at["masked"], at["forget"]) == ("970", "2.80% (2.8 to 2.8; sd 0.0)")
    _, [page] = written(fake.workspace)
    assert "Pairs hidden 970" in text(page)
    charts = payload(page)["charts"]
    bars = [row for row in charts["dial-classes"]["datasets"]["rows0"] if row["n"] == 970 and row["role"] == "forget"]
    assert [row["a"] for row in bars] == [0.028]
    curve = [row for rows in charts["curve-votes"]["datasets"].values() for row in rows if row.get("n") == 970]
    assert {row["accuracy"] for row in curve if row["role"] == "forget"} == {0.028}


@pytest.mark.parametrize("value", [0.0, 1e-7, 0.0004, 0.00099, 0.0011, 0.02, 0.0949, 0.0951, 59.9, 89.99, 3600.0])
def test_no_time_is_nothing(value):
    assert not re.match(r"0(\.0+)? ", words.duration(value))


def test_a_row_of_the_papers_tables_does_not_repeat_its_data_set(full):
    html = (full[0].reports / "paper.html").read_text(encoding="utf-8")
    for table in re.findall(r'<table[^>]*data-csv="table-\d+".*?</table>', html, re.DOTALL):
        rows = [text(row) for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)]
        named = [row for row in rows if re.search(r"CIFAR-10\b(?!, ResNet)", row)]
        assert len(named) == 1, named


LONG = "a species whose name is so long that it has no room, of the north"


def test_long_names_are_shortened_with_the_whole_one_beside(tmp_path):
    fake = Fake(workspace_at(tmp_path), ["a", LONG, "c"])
    fake.everything()
    written(fake.workspace)
    [compare] = fake.workspace.reports.glob("compare-*.html")
    html = compare.read_text(encoding="utf-8")
    assert f'title="{LONG}" data-whole="{LONG}">{words.short(LONG, 28)}</span>' in html
    [cell] = [row for row in payload(html)["charts"]["matrix"]["datasets"]["rows0"] if row["mine"]][:1]
    assert (cell["c"], cell["whole"]) == (f"1 {words.short(LONG, 16)}", f"1 {LONG}")


def test_short_names_keep_both_ends_and_stay_apart():
    assert words.short("tabby", 16) == "tabby"
    assert words.short(LONG, 28) == "a species whose na…north"
    assert len(words.short("x" * 90, 16)) == 16
    alike = ["a model with a long tail", "a model with another tail", "one more with a name as long"]
    assert words.all_short(alike, 12) == {alike[0]: alike[0], alike[1]: alike[1], alike[2]: words.short(alike[2], 12)}


JARGON = ("amounts to", "destinations apart", "two columns of shares", "perplexity of the look-ups, the number")


def test_no_page_speaks_in_riddles(full, reported):
    for workspace in (full[0], reported[1]):
        for page in workspace.reports.glob("*.html"):
            said = text(page.read_text(encoding="utf-8"))
            assert not [words_ for words_ in JARGON if words_ in said], page.name


def row(request: str, **changes: object) -> RequestRow:
    """A request that was opened on the first of March."""
    fields = {
        "request": request,
        "what": "cat",
        "classes": [2],
        "state": "masked",
        "level": "hidden",
        "created": "2026-03-01T10:00:00+00:00",
        "days": 3,
        "deadline": "2026-03-31",
        "answered": None,
        "overdue": False,
        "notified": [],
        "verdict": None,
        "verified": None,
        "receipt": None,
        "receipt_entry": None,
    }
    return RequestRow.model_validate(fields | changes)


STATES = ("not-shown", "failed")


def test_requests_say_how_they_stand_and_what_is_next():
    purged = {"state": "purged", "level": "erased", "answered": "2026-03-04T09:00:00+00:00"}
    rows = [
        row("r1"),
        row("r2", verdict="passed", verified="2026-03-02T10:00:00+00:00"),
        row("r3", **purged),
        row("r4", **purged, receipt="r4.json"),
        row("r5", deadline="2026-03-02", overdue=True),
    ]
    unclear, failed = (row("r6", verdict=verdict, verified="2026-03-02T10:00:00+00:00") for verdict in STATES)
    assert (next_step(unclear), next_step(failed)) == ("dkvb purge r6", "dkvb verify")
    assert requested(rows) == "5 deletion requests, 3 still to be answered, 1 of them past the deadline."
    assert requested(rows[:2]) == "2 deletion requests, 2 still to be answered, the next by 2026-03-31."
    assert requested(rows[3:4]) == "1 deletion request, all answered."
    assert [next_step(one) for one in rows] == ["dkvb verify", "dkvb purge r2", "dkvb receipt r3", "", "dkvb verify"]
    found = happenings_table(rows[1:3])
    assert found.rows() == [
        ("r2", date(2026, 3, 1), "opened", ""),
        ("r2", date(2026, 3, 2), "last verified", "passed"),
        ("r2", date(2026, 3, 31), "deadline", ""),
        ("r3", date(2026, 3, 1), "opened", ""),
        ("r3", date(2026, 3, 4), "purged", ""),
        ("r3", date(2026, 3, 31), "deadline", ""),
    ]


def test_without_runs_the_index_speaks_of_what_there_is():
    assert headline([]) == "Nothing has been forgotten yet."
    assert headline([], requests=1) == "", "the line on requests says it"
    assert headline([], audits=3, requests=1) == (
        "3 audits say how close each method comes to retraining. No method was run by itself yet."
    )


def test_commands_in_sentences_are_marked_as_code():
    assert coded("run `dkvb <x>`, then") == "run <code>dkvb &lt;x&gt;</code>, then"
    assert coded("a ` alone <b>") == "a ` alone &lt;b&gt;"


def check(name: str, state: str) -> SimpleNamespace:
    return SimpleNamespace(name=name, state=state, sentence=f"What {name} is.")


def test_a_verdict_opens_with_what_a_reader_came_for():
    def said(*states: str) -> str:
        return answer([SimpleNamespace(checks=[check("abcdefg"[place], state) for place, state in enumerate(states)])])

    assert said() == "Nothing could be checked."
    assert said("passed", "passed") == "All 2 checks passed."
    assert said("passed", "not-shown", "not-shown") == (
        "No check failed, and 1 of 3 passed. Samples are too few to show one way or the other: b; c."
    )
    assert said("failed", "not-shown", "passed") == "1 check of 3 failed. What a is."
    assert said(*["failed"] * 5) == "5 checks of 5 failed. What a is. What b is. What c is. And 2 more."


def test_ends_that_round_to_nothing_have_no_sign():
    assert words.difference_deviation(stat([-0.0003, 0.0102])) == " (0.0 to 1.0; sd 0.7)"
    assert words.difference_deviation(stat([-0.0103, -0.0102])) == " (−1.0 to −1.0; sd 0.0)"
