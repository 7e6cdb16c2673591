"""The tables of docs/leaderboard.md say what audits measured: means over audits, missing where there is nothing."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_leaderboard", DOCS / "make_leaderboard.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measured(value: float, null: float = 0.1) -> dict[str, Any]:
    ends = {"low": value - 0.01, "high": value + 0.01, "null_low": null - 0.02, "null_high": null + 0.02}
    return {"value": value, "null": null, **ends}


def entry(method: str, label: str, distance: float | None, **more: Any) -> dict[str, Any]:
    measures = {"forget accuracy": measured(0.25), "retain accuracy": measured(0.5)}
    if distance is not None:
        measures["destinations, each"] = measured(distance)
    plain = {"role": "unlearned", "model": "values", "seed": 0, "seconds": 1.5, "seconds_choosing": None, "error": None}
    return {"method": method, "label": label, "measures": measures, **plain, **more}


def audit(name: str, *entries: dict[str, Any], data: str = "made") -> dict[str, Any]:
    return {"about": [{"name": data, "forget_names": [name], "seed": 0}], "audit": list(entries)}


def test_rows_are_means_over_audits_in_the_order_of_distance(maker: ModuleType) -> None:
    line = entry("retrained", "Retrained", 0.1, role="retrained", seconds=None)
    failed = entry("far", "Far", None, measures={}, error="no", seconds=None)
    cat = audit("cat", entry("far", "Far", 0.6), line, entry("near", "Near", 0.1, seconds_choosing=0.5))
    dog = audit("dog", failed, line, entry("near", "Near", 0.4, seconds_choosing=0.7))
    made = list(maker.tables([cat, dog]))
    assert made[:2] == ["### made: the bottleneck's values\n", "Forgotten, one at a time: cat, dog.\n"]
    assert made[4:] == [
        "| *Retrained* | 25.0% | 50.0% | – | 10.0% | 10.0%, 10.0% | 2 of 2 | – | – |",
        "| Near | 25.0% | 50.0% | – | 25.0% | 10.0%, 40.0% | 1 of 2 | 1.5 | 2.1 |",
        "| Far (failed in 1 of 2) | 25.0% | 50.0% | – | 60.0% | 60.0%, 60.0% | 0 of 1 | 1.5 | 1.5 |",
        "",
    ]


def test_places_are_means_over_data_sets(maker: ModuleType) -> None:
    line = entry("retrained", "Retrained", 0.1, role="retrained", seconds=None)
    made = audit("cat", line, entry("a", "A", 0.2), entry("b", "B", 0.3), entry("c", "C", 0.6))
    other = audit("cat", line, entry("a", "A", 0.5), entry("b", "B", 0.4), entry("c", "C", None), data="other")
    assert list(maker.overview([made, other])) == [
        "### All data sets: the bottleneck's values\n",
        "| method | mean place | made | other | most left | seconds, with choosing |",
        "|---|---|---|---|---|---|",
        "| *Retrained* | – | 10.0% | 10.0% | 25.0% | – |",
        "| A | 1.5 | 20.0% | 50.0% | 25.0% | 1.5 |",
        "| B | 1.5 | 30.0% | 40.0% | 25.0% | 1.5 |",
        "| C | 3.0 | 60.0% | – | 25.0% | 1.5 |",
        "",
    ]
    assert list(maker.overview([made])) == [], "one data set needs no second table"
