"""The page of a verdict, `verify.html`: the checks, and under each chart the numbers that it draws."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dkvb.pages.charts import verify as verify_charts
from dkvb.pages.library import library_being_written
from dkvb.pages.page import INDEX, VERDICT, render, unchecked
from dkvb.recipe import Recipe
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import write_text


def write(recipe: Recipe, workspace: Workspace, entries: list[dict[str, Any]]) -> Path:
    """Write the page, and the charts' library where it is not there yet, into the reports folder; the page's path."""
    path = workspace.reports / VERDICT
    with library_being_written(workspace.reports), unchecked():
        write_text(path, page(recipe, entries, (workspace.reports / "index.html").is_file()))
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
        links=[INDEX] if index else [],
    )
