"""The page of a verdict, `verify.html`: the checks, and under each chart the numbers that it draws."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from altair.utils.schemapi import debug_mode

from dkvb.pages.charts import verify as verify_charts
from dkvb.pages.page import library_name, render, vega_bundle
from dkvb.recipe import Recipe
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import write_text

NAME = "verify.html"


def write(recipe: Recipe, workspace: Workspace, entries: list[dict[str, Any]]) -> Path:
    """Write the page, and the charts' library where it is not there yet, into the reports folder; the page's path."""
    library = workspace.reports / library_name()
    if not library.is_file():
        write_text(library, vega_bundle())
    path = workspace.reports / NAME
    with debug_mode(False):  # checking every spec against Vega-Lite's schema takes half of the time
        html = page(recipe, entries, (workspace.reports / "index.html").is_file())
    write_text(path, html)
    return path


def page(recipe: Recipe, entries: list[dict[str, Any]], index: bool) -> str:
    """The page's HTML. `index`: whether there is an index to link to."""
    charts: dict[str, dict[str, Any]] = {}
    for entry in entries:
        for name, going in entry["destinations"].items():
            key = f"{entry['seed']}-{going['class']}"
            charts[f"destinations-{key}"] = verify_charts.destinations(name, going, entry["labels"])
            rows = [row for row in entry["relearning"] if row["class"] == going["class"]]
            if spec := verify_charts.relearning(name, rows):
                charts[f"relearning-{key}"] = spec
    return render(
        "verify.html",
        data=recipe.data_name,
        entries=entries,
        settings=recipe.verify,
        lr=recipe.train.lr,
        charts=charts,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        passed=all(entry["passed"] for entry in entries),
        links=[("index.html", "All reports")] if index else [],
    )
