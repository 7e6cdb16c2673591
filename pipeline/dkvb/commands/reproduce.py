"""`dkvb reproduce`: the paper's experiments, or the same set for one's own data."""

from __future__ import annotations

from typing import Annotated

import typer

from dkvb.commands.console import COMMON, Options, command


def register(app: typer.Typer) -> None:
    @app.command("reproduce")
    @command(COMMON)
    def reproduce(
        options: Options,
        only: Annotated[
            str | None,
            typer.Option("--only", help="Data sets of the paper, by recipe, separated by commas [default: all]."),
        ] = None,
        seeds: Annotated[
            int | None, typer.Option("--seeds", help="Training seeds [default: the recipe's, five in the paper's].")
        ] = None,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")] = False,
    ) -> None:
        """The paper's experiments as a plan, then run it; with --recipe, the same experiments on your own data."""
        from dkvb.commands import tables
        from dkvb.experiments import paper_plan as experiments

        names = [name.strip() for name in (only or "").split(",") if name.strip()]
        own = options.recipe() if options.values["recipe"] else None
        root = options.values["data_root"]
        chosen = experiments.recipes(names, seeds, own, None if root is None else str(root.expanduser().resolve()))
        if options.values["seed"] is not None:
            chosen = [recipe.with_(run={"seeds": [options.values["seed"]]}) for recipe in chosen]
        workspace = options.workspace()
        steps = experiments.plan(chosen, workspace, options.force)
        if not options.json:
            options.show({}, lambda: tables.reproduce([step.entry for step in steps]))
        entries = [step.entry for step in steps] if dry_run else experiments.run(steps, workspace, chosen[0])
        options.show({"reproduce": entries}, None if dry_run else lambda: tables.reproduce(entries))
        if failed := sum(entry.state == "failed" for entry in entries):
            typer.echo(f"error: {failed} of {len(entries)} steps failed; the same command tries them again.", err=True)
            raise typer.Exit(1)
