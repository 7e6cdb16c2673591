"""`dkvb verify`: is everything that was to be forgotten forgotten?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dkvb.commands.console import Options, command
from dkvb.commands.flags import LIMITS

app = typer.Typer()


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
    """
    recipe, workspace = options.recipe(), options.workspace()
    if not every_seed:
        recipe = recipe.with_(run={"seeds": recipe.run.seeds[:1]})
    from dkvb.deletion import verify as verifying
    from dkvb.pages import verify as page

    entries = verifying.run(recipe, workspace)
    path = page.write(recipe, workspace, entries)
    options.show({"verify": entries, "page": str(path)}, lambda: tables(entries, str(path)))
    if not all(entry["passed"] for entry in entries):
        raise typer.Exit(1)


def tables(entries: list[dict[str, Any]], path: str) -> Any:
    """The verdict for a person: a row per check, and what was measured beside them."""
    from rich.markup import escape

    from dkvb.commands.tables import _table, percent

    for entry in entries:
        table = _table(
            f"Verified (seed {entry['seed']}): {'passed' if entry['passed'] else 'FAILED'}",
            "check",
            "verdict",
            "value",
            "limit",
            "",
        )
        table.columns[4].justify = "left"
        for check in entry["checks"]:
            verdict = "passed" if check["passed"] else "FAILED"
            table.add_row(
                escape(check["name"]),
                verdict,
                percent(check["value"]),
                percent(check["threshold"]),
                escape(check["detail"]),
            )
        yield table
        yield from map(escape, entry.get("mend", []))
        table = _table(
            "Beside a model retrained without them (test)",
            "class",
            "now",
            "oracle",
            "mask lifted",
            "destinations apart",
        )
        for name, going in entry["destinations"].items():
            c, back = going["class"], entry["recovery"]["classes"][name]["unmasked"]
            shares = (
                entry["accuracy"]["test"]["per_class"][c]["accuracy"],
                entry["oracle"]["test"]["per_class"][c]["accuracy"],
            )
            table.add_row(
                escape(name),
                *map(percent, shares),
                percent(back and back["accuracy"]),
                percent(going["total_variation"]),
            )
        yield table
        table = _table("Forget accuracy after relearning (test)", "class", "samples", "now", "oracle")
        for row in entry["relearning"]:
            again = (percent(row[which] and row[which]["accuracy"]) for which in ("unlearned", "oracle"))
            table.add_row(escape(row["name"]), str(row["used"]), *again)
        yield table
        yield escape(entry["recovery"]["detail"])
    yield escape(f"Page: {path}")
