"""`dkvb verify`: is everything that was to be forgotten forgotten?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dkvb.commands.console import Options, command
from dkvb.commands.limits import LIMITS

app = typer.Typer()

if TYPE_CHECKING:
    from dkvb.records.verdict import CheckState, Verdict


@command(
    app,
    "Deletion",
    "recipe data_root seed data_dir reports_dir device",
    LIMITS,
    examples="""
    dkvb verify
    dkvb verify --max-forget 0.05 --max-retain-drop 0.01
    dkvb verify --quick --strict
    """,
)
def verify(
    options: Options,
    every_seed: Annotated[
        bool, typer.Option("--every-seed", help="All seeds of the recipe [default: the first].")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="What is not shown counts as failed: exit code 1.")] = False,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Without a second oracle, which says how far two retrained models are apart."),
    ] = False,
) -> None:
    """Check forgotten classes against a model retrained without them.

    Measures all of them again, beside that model (the oracle). Each check is passed, failed, or not shown, where the
    interval of what was measured crosses the limit; exit code 1 where one fails.
    Measured with the mask alone: `dkvb predict` and exports leave the labels of forgotten classes out as well.
    """
    recipe, workspace = options.recipe(), options.workspace()
    if not every_seed:
        recipe = recipe.with_(run={"seeds": recipe.run.seeds[:1]})
    from dkvb.commands.answers import Verify
    from dkvb.deletion import verify as verifying
    from dkvb.deletion.verdict_pictures import VerdictPictures
    from dkvb.pages import verify as page
    from dkvb.workspace.beside_purge import reading

    pictures = VerdictPictures(recipe, workspace)
    with reading(workspace):  # until the page is written: what a purge erases must not come onto it
        verdicts = verifying.run(recipe, workspace, quick, pictures.look)
        path = page.write(recipe, workspace, verdicts, pictures.by_seed)
    options.show(Verify(verify=verdicts, page=str(path)), lambda: tables(verdicts, str(path)))
    if not all(verdict.verdict == "passed" if strict else verdict.passed for verdict in verdicts):
        raise typer.Exit(1)


def tables(verdicts: Sequence[Verdict], path: str) -> Iterable[Any]:
    """Verdicts for a person: a row per check, and what was measured beside them."""
    from rich.markup import escape

    for verdict in verdicts:
        yield _checks(verdict)
        yield from map(escape, verdict.mend)
        yield _classes(verdict)
        yield from (escape(going.sentence) for going in verdict.destinations.values())
        yield _relearning(verdict)
        yield escape(f"{verdict.recovery.detail[0].upper()}{verdict.recovery.detail[1:]}.")
    yield escape(f"Page: {path}")


def _said(state: CheckState) -> str:
    from dkvb.records.verdict import in_words

    return "FAILED" if state == "failed" else in_words(state)


def _checks(verdict: Verdict) -> Any:
    from rich.markup import escape

    from dkvb.commands.tables import new_table, percent

    title = f"Verified (seed {verdict.seed}): {_said(verdict.verdict)} ({verdict.counted})"
    table = new_table(title, "check", "verdict", "value", "limit", "")
    table.columns[4].justify = "left"
    for check in verdict.checks:
        shares, numbers = check.unit == "share", (check.value, check.threshold)
        shown = [percent(one) if shares or one is None else f"{one:.3f}" for one in numbers]
        table.add_row(escape(check.name), _said(check.state), *shown, escape(check.sentence))
    return table


def _classes(verdict: Verdict) -> Any:
    from rich.markup import escape

    from dkvb.commands.tables import new_table, percent

    title = "Beside a model retrained without them (the oracle)"
    columns = ("class", "test", "validation", "train", "oracle test", "mask lifted", "apart from it", "two oracles")
    table = new_table(title, *columns)
    for name, going in verdict.destinations.items():
        lifted, now = verdict.recovery.classes[name].unmasked, verdict.accuracy
        shares = [
            split.per_class[going.class_id].accuracy if split else None
            for split in (now.test, now.validation, now.train, verdict.oracle.test)
        ]
        shares += [lifted.accuracy if lifted else None, going.distance, going.distance_null]
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
