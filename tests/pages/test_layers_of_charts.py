"""Layered charts are written as Altair's own `layer` writes them."""

from __future__ import annotations

from typing import Any

import altair as alt
import pytest

from dkvb.pages.charts.base import data, finish, layered


def _layers(shared: bool) -> list[Any]:
    """Bars with numbers, of the same rows or of rows of their own."""
    rows = [{"v": 1.0, "t": "one"}, {"v": 2.0, "t": "two"}]
    bars = alt.Chart(data(rows)).mark_bar().encode(x=alt.X("v:Q"))
    numbers = bars if shared else alt.Chart(data(rows)).encode(x=alt.X("v:Q"))
    return [bars, numbers.mark_text().encode(text=alt.Text("t:N"))]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("params", [[], [alt.param(name="off", value=[]), alt.param(name="seeds", value=False)]])
def test_layers_are_as_altair_makes_them(shared: bool, params: list[Any]) -> None:
    first, *others = _layers(shared)
    theirs = alt.layer(first.add_params(*params), *others, height=120)
    expected = {name: value for name, value in theirs.to_dict().items() if name not in ("$schema", "config")}
    drawn = finish(layered([first, *others], 120, *params), "Two bars.")
    assert {name: drawn[name] for name in expected} == expected
    assert ("data" in drawn) is shared


def test_a_parameter_is_written_once_for_all_layers() -> None:
    drawn = finish(layered(_layers(False), 120, alt.param(name="off", value=[])), "Two bars.")
    assert drawn["params"] == [{"name": "off", "value": []}]
    assert not any("params" in layer for layer in drawn["layer"])
