"""`dkvb membership`: class membership inference on unlearned models."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dkvb.commands.console import COMMON, Options, command

Names = Annotated[
    list[str] | None,
    typer.Option(
        "--methods", help="Defences to attack, separated by commas [default: every one]. `retrain` is the oracle."
    ),
]


def register(app: typer.Typer) -> None:
    @app.command("membership")
    @command(COMMON)
    def membership(
        options: Options,
        forget: Annotated[
            list[str] | None, typer.Option("--forget", help="Class to unlearn, by name or id, 'best' or 'each'.")
        ] = None,
        held_out: Annotated[
            str | None,
            typer.Option(
                "--held-out", help="Class that takes no part in training [default: the last one].", metavar="CLASS"
            ),
        ] = None,
        methods: Names = None,
    ) -> None:
        """Attack unlearned models: was this class ever trained on? (needs embed; trains models without the held-out
        class)."""
        from dkvb.commands import tables
        from dkvb.experiments import membership as attacks

        unlearn: dict[str, Any] = {"forget": forget[0] if forget in (["best"], ["each"]) else forget} if forget else {}
        names = [name.strip() for part in methods or [] for name in part.split(",") if name.strip()] or attacks.DEFENCES
        entries = attacks.run(
            options.recipe(unlearn=unlearn), options.workspace(), held_out, names, force=options.force
        )
        options.show({"membership": entries}, lambda: tables.membership(entries))
