"""The page of a verdict, `verify.html`: the checks, and under each chart the numbers that it draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dkvb.pages import written
from dkvb.pages.charts import verify as verify_charts
from dkvb.pages.charts.destinations import destinations
from dkvb.pages.facts.pictures import Samples
from dkvb.pages.library import library_being_written, library_name, written_alone
from dkvb.pages.page import INDEX, VERDICT, render, unchecked
from dkvb.recipe import Recipe
from dkvb.records.verdict import Verdict, together
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import write_text


def write(
    recipe: Recipe, workspace: Workspace, verdicts: Sequence[Verdict], pictures: Mapping[int, Samples] | None = None
) -> Path:
    """Write the page, and the charts' library where it is not there yet, into the reports folder; the page's path.

    Args:
        pictures: seed -> samples in pictures; call within the same `reading(workspace)` that they were taken in.
    """
    path = workspace.reports / VERDICT
    there = written.intact(workspace.reports, library_name())
    with written_alone(workspace), library_being_written(workspace.reports, there), unchecked():
        write_text(path, page(recipe, verdicts, (workspace.reports / "index.html").is_file(), pictures))
    return path


def page(
    recipe: Recipe, verdicts: Sequence[Verdict], index: bool, pictures: Mapping[int, Samples] | None = None
) -> str:
    """The page's HTML. `index`: whether there is an index to link to."""
    charts: dict[str, dict[str, Any]] = {}
    for verdict in verdicts:
        for name, going in verdict.destinations.items():
            key = f"{verdict.seed}-{going.class_id}"
            if going.samples:
                charts[f"destinations-{key}"] = destinations(
                    f"test samples of {name}", {"unlearned": going.unlearned, "oracle": going.oracle}, verdict.labels
                )
            rows = [row for row in verdict.relearning if row.class_id == going.class_id]
            if spec := verify_charts.relearning(name, rows):
                charts[f"relearning-{key}"] = spec
    return render(
        "verify.html",
        data=recipe.data_name,
        verdicts=verdicts,
        pictures=pictures or {},
        settings=recipe.verify,
        lr=recipe.train.lr,
        charts=charts,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        verdict=together(verdict.verdict for verdict in verdicts),
        links=[INDEX] if index else [],
    )
