"""`dkvb verify`: is everything that was to be forgotten forgotten?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dkvb.commands.console import Options, command
from dkvb.commands.flags import LIMITS

app = typer.Typer()

if TYPE_CHECKING:
    from dkvb.records.verdict import Verdict


@command(
    app,
    "Deletion",
    "recipe data_root seed data_dir reports_dir device",
    LIMITS,
    examples="""
    dkvb verify
    dkvb verify --max-forget 0.05 --max-retain-drop 0.01
    """,
)
def verify(
    options: Options,
    every_seed: Annotated[
        bool, typer.Option("--every-seed", help="All seeds of the recipe [default: the first].")
    ] = False,
) -> None:
    """Check that forgotten classes are forgotten, against limits.

    Measures all of them again, beside a model retrained without them (the oracle); exit code 1 where a check fails.
    Measured with the mask alone: `dkvb predict` and exports leave the labels of forgotten classes out as well.
    """
    recipe, workspace = options.recipe(), options.workspace()
    if not every_seed:
        recipe = recipe.with_(run={"seeds": recipe.run.seeds[:1]})
    from dkvb.commands.answers import Verify
    from dkvb.deletion import verify as verifying
    from dkvb.pages import verify as page

    verdicts = verifying.run(recipe, workspace)
    path = page.write(recipe, workspace, verdicts)
    options.show(Verify(verify=verdicts, page=str(path)), lambda: tables(verdicts, str(path)))
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(1)


def tables(verdicts: Sequence[Verdict], path: str) -> Iterable[Any]:
    """Verdicts for a person: a row per check, and what was measured beside them."""
    from rich.markup import escape

    for verdict in verdicts:
        yield _checks(verdict)
        yield from map(escape, verdict.mend)
        yield _classes(verdict)
        yield _relearning(verdict)
        yield escape(verdict.recovery.detail)
    yield escape(f"Page: {path}")


def _checks(verdict: Verdict) -> Any:
    from rich.markup import escape

    from dkvb.commands.tables import new_table, percent

    title = f"Verified (seed {verdict.seed}): {'passed' if verdict.passed else 'FAILED'}"
    table = new_table(title, "check", "verdict", "value", "limit", "")
    table.columns[4].justify = "left"
    for check in verdict.checks:
        said, numbers = "passed" if check.passed else "FAILED", map(percent, (check.value, check.threshold))
        table.add_row(escape(check.name), said, *numbers, escape(check.detail))
    return table


def _classes(verdict: Verdict) -> Any:
    from rich.markup import escape

    from dkvb.commands.tables import new_table, percent

    title = "Beside a model retrained without them (test)"
    table = new_table(title, "class", "now", "oracle", "mask lifted", "destinations apart")
    for name, going in verdict.destinations.items():
        lifted = verdict.recovery.classes[name].unmasked
        now, oracle = (of.test.per_class[going.class_id].accuracy for of in (verdict.accuracy, verdict.oracle))
        shares = (now, oracle, lifted.accuracy if lifted else None, going.total_variation)
        table.add_row(escape(name), *map(percent, shares))
    return table


def _relearning(verdict: Verdict) -> Any:
    from rich.markup import escape

    from dkvb.commands.tables import new_table, percent

    table = new_table("Forget accuracy after relearning (test)", "class", "samples", "now", "oracle")
    for row in verdict.relearning:
        shares = (known.accuracy if known else None for known in (row.unlearned, row.oracle))
        table.add_row(escape(row.name), str(row.used), *map(percent, shares))
    return table
