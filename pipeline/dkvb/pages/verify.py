"""The page of a verdict, `verify.html`: the checks, and under each chart the numbers that it draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dkvb.pages import written
from dkvb.pages.charts import verify as verify_charts
from dkvb.pages.charts.destinations import destinations
from dkvb.pages.charts.lazy import unchecked
from dkvb.pages.facts.pictures import Samples
from dkvb.pages.facts.words import plural
from dkvb.pages.library import library_being_written, library_name, written_alone
from dkvb.pages.page import INDEX, VERDICT, render
from dkvb.recipe import Recipe
from dkvb.records.verdict import Check, Verdict, together
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import write_text

LED = 3
"""Failed checks that the page's first lines spell out."""


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
        answer=answer(verdicts),
        links=[INDEX] if index else [],
    )


def answer(verdicts: Sequence[Verdict]) -> str:
    """What a reader came for: that all checks passed, else which did not and, of those that failed, what was
    measured."""
    checks = [check for verdict in verdicts for check in verdict.checks]
    failed, unclear = ([one for one in checks if one.state == state] for state in ("failed", "not-shown"))
    if not checks:
        return "Nothing could be checked."
    if failed:
        return f"{plural(len(failed), 'check', 'checks')} of {len(checks)} failed. {_sentences(failed)}"
    if unclear:
        names = "; ".join(dict.fromkeys(check.name for check in unclear))
        return (
            f"No check failed, and {len(checks) - len(unclear)} of {len(checks)} passed. Samples are too few to show"
            f" one way or the other: {names}."
        )
    return f"All {len(checks)} checks passed."


def _sentences(checks: Sequence[Check]) -> str:
    more = f" And {len(checks) - LED} more." if len(checks) > LED else ""
    return " ".join(check.sentence for check in checks[:LED]) + more
