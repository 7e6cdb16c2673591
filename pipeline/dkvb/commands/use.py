"""`dkvb predict` and `dkvb export`: using a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dkvb.commands.console import COMMON, Options, command

if TYPE_CHECKING:
    from dkvb.inference.classifier import Classifier

HELP = (
    "A folder of `dkvb export`, or a train or unlearn artifact [default: the recipe's model, what was forgotten"
    " masked]."
)


Which = Annotated[Path | None, typer.Option("--model", help=HELP)]


From = Annotated[Path | None, typer.Option("--from", "--model", help=HELP)]


def register(app: typer.Typer) -> None:
    @app.command("predict")
    @command(COMMON)
    def predict(
        options: Options,
        paths: Annotated[
            list[Path],
            typer.Argument(help="Images, folders of images, or .npz files with x (N, D).", metavar="PATHS..."),
        ],
        which: Which = None,
        top: Annotated[int, typer.Option("--top", help="Classes to list for each input.")] = 1,
        table: Annotated[
            str | None, typer.Option("--csv", help="Write a CSV file ('-': to standard output).", metavar="FILE|-")
        ] = None,
    ) -> None:
        """Classify images or features with the trained bottleneck, masks applied."""
        from dkvb.commands import tables
        from dkvb.errors import UsageError
        from dkvb.inference import predict
        from dkvb.runtime import progress

        if table == "-" and options.json:
            raise UsageError(
                "--csv - and --json both write to standard output: give --csv a file, or leave one of them out."
            )
        result = predict.run(_model(options, which), paths, top)
        if table == "-":
            typer.echo(predict.as_csv(result["predict"]), nl=False)
        elif table is not None:
            predict.write_csv(result["predict"], Path(table))
        if table is None or options.json:
            options.show(result, lambda: tables.predict(result["predict"]))
        for bad in result["unreadable"]:
            progress.note(f"cannot be read: {bad['input']}: {bad['error']}")
        if result["unreadable"]:
            raise typer.Exit(1)

    @app.command("export")
    @command(COMMON)
    def export(
        options: Options,
        folder: Annotated[Path, typer.Argument(help="A new or empty folder.", metavar="DIR")],
        which: From = None,
    ) -> None:
        """Write the trained bottleneck as a folder of its own, without the pairs that are masked."""
        from dkvb.commands import tables
        from dkvb.errors import UsageError
        from dkvb.inference import export
        from dkvb.inference.bottleneck_model import Model

        model = _model(options, which)
        if not isinstance(model, Model):
            raise UsageError(f"{which} is a linear head: only a key-value bottleneck can be exported.")
        entries = [export.run(model, folder, options.workspace(), options.force)]
        options.show({"export": entries}, lambda: tables.export(entries))


def _model(options: Options, which: Path | None) -> Classifier:
    from dkvb.inference.load import load, load_seed

    if which is not None:
        return load(which, options.values["seed"], device=options.values["device"] or "auto")
    recipe = options.recipe()
    return load_seed(recipe, options.workspace(), recipe.run.seeds[0], recipe.run.device)
