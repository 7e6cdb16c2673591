"""`dkvb verify`: is everything that was to be forgotten forgotten?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dkvb.commands.console import COMMON, Options, command
from dkvb.errors import UsageError


def register(app: typer.Typer) -> None:
    @app.command("verify")
    @command(COMMON)
    def verify(
        options: Options,
        max_forget: Annotated[
            str | None,
            typer.Option(
                "--max-forget",
                help="Highest test accuracy of a forgotten class, in [0, 1] or 'chance' [default: chance].",
            ),
        ] = None,
        max_retain_drop: Annotated[
            float | None,
            typer.Option(
                "--max-retain-drop", help="Most test accuracy that the other classes may have lost [default: 0.02]."
            ),
        ] = None,
        min_retain: Annotated[
            float | None, typer.Option("--min-retain", help="Lowest test accuracy of the other classes.")
        ] = None,
        max_relearn: Annotated[
            float | None,
            typer.Option(
                "--max-relearn", help="Most by which relearning a class may be ahead of a model that never saw it."
            ),
        ] = None,
        every_seed: Annotated[
            bool, typer.Option("--every-seed", help="All seeds of the recipe [default: the first].")
        ] = False,
    ) -> None:
        """Check all forgotten classes again, against thresholds and a retrained model; exit 1 where a check fails."""
        from dkvb.deletion import verify as verifying
        from dkvb.pages import verify as page

        given = {"max_retain_drop": max_retain_drop, "min_retain": min_retain, "max_relearn": max_relearn}
        limits: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if max_forget is not None:
            limits["max_forget"] = _share(max_forget)
        recipe = options.recipe(verify=limits)
        if not every_seed:
            recipe = recipe.with_(run={"seeds": recipe.run.seeds[:1]})
        workspace = options.workspace()
        entries = verifying.run(recipe, workspace)
        path = page.write(recipe, workspace, entries)
        options.show({"verify": entries, "page": str(path)}, lambda: tables(entries, str(path)))
        if not all(entry["passed"] for entry in entries):
            raise typer.Exit(1)


def _share(text: str) -> float | str:
    if text == "chance":
        return text
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--max-forget {text}: give a share in [0, 1], or chance.") from None


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
