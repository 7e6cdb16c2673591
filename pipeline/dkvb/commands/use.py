"""`dkvb predict` and `dkvb export`: using a trained model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dkvb.commands import complete
from dkvb.commands.console import Options, command
from dkvb.errors import UsageError
from dkvb.runtime.visible import visible

if TYPE_CHECKING:
    from dkvb.inference.classifier import Classifier

app = typer.Typer()


HEADING = "Use"
USES = "recipe data_root seed data_dir device"

MODEL: dict[str, Any] = {
    "help": "A folder of `dkvb export`, or a train or unlearn artifact [default: the recipe's model, what was"
    " forgotten masked].",
    "metavar": "FOLDER",
}
KeepLabels = Annotated[
    bool,
    typer.Option("--keep-labels", help="Leave forgotten classes among the answers: shows what the mask alone does."),
]


@command(
    app,
    HEADING,
    USES,
    examples="""
    dkvb predict photos/ --top 3
    dkvb predict new.npz --csv classes.csv
    dkvb predict cat.jpg --model exported/
    """,
)
def predict(
    options: Options,
    paths: Annotated[
        list[Path], typer.Argument(help="Images, folders of images, or .npz files with x (N, D).", metavar="PATH")
    ],
    which: Annotated[Path | None, typer.Option("--model", **MODEL)] = None,
    top: Annotated[int, typer.Option("--top", help="Classes to list for each input.", metavar="N")] = 1,
    table: Annotated[
        str | None, typer.Option("--csv", help="Write a CSV file ('-': to standard output).", metavar="FILE|-")
    ] = None,
    keep_labels: KeepLabels = False,
) -> None:
    """Classify images or features with the trained bottleneck.

    The masks of all deletion requests are applied, and a forgotten class is never the answer. masked_nearest (JSON,
    CSV) is the share of an input's nearest pairs that the masks took away. Exit code 1 where an input cannot be read;
    the others are predicted.
    """
    if table == "-" and options.json:
        raise UsageError(
            "--csv - and --json both write to standard output: give --csv a file, or leave one of them out."
        )
    if top < 1:
        raise UsageError(f"--top {top}: give 1 or more.")
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist: give images, folders of images, or .npz files with x (N, D).")
    model = _model(options, which, keep_labels)
    from dkvb.commands import tables
    from dkvb.inference import predict
    from dkvb.runtime import progress

    result = predict.run(model, paths, top)
    if table == "-":
        text = predict.as_csv(result.predict)
        # a file that this is sent to gets names as they are
        typer.echo(visible(text) if sys.stdout.isatty() else text, nl=False)
    elif table is not None:
        predict.write_csv(result.predict, Path(table))
    if table is None or options.json:
        options.show(result, lambda: tables.predict(result.predict))
    if model.about.forgotten and (often := predict.mostly_masked(result.predict)) is not None:
        rows = len(result.predict)
        progress.note(f"predict: {often:,} of {rows:,} inputs had more than half of their nearest pairs masked")
    for bad in result.unreadable:
        progress.note(f"cannot be read: {bad.input}: {bad.error}")
    if result.unreadable:
        raise typer.Exit(1)


@command(
    app,
    HEADING,
    f"{USES} force",
    examples="""
    dkvb export model/
    dkvb predict photos/ --model model/
    dkvb export for-onnx/ --format onnx  # model.onnx, for onnxruntime and others
    dkvb export --check model/           # is a copy intact, and still what would be exported?
    """,
)
def export(
    options: Options,
    folder: Annotated[
        Path,
        typer.Argument(
            help="A new or empty folder; with --check, one that was exported, or its model.onnx.", metavar="DIR"
        ),
    ],
    which: Annotated[Path | None, typer.Option("--from", "--model", **MODEL)] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="safetensors, which dkvb and torch read, or onnx, for any ONNX runtime (needs dkvb[onnx]).",
            metavar="safetensors|onnx",
            autocompletion=complete.one_of("safetensors", "onnx"),
        ),
    ] = "safetensors",
    without_encoder: Annotated[
        bool,
        typer.Option(
            "--without-encoder", help="With --format onnx, of a model of images: what comes after its encoder."
        ),
    ] = False,
    keep_labels: KeepLabels = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing: is the export in DIR intact, and has no request changed since?"),
    ] = False,
) -> None:
    """Write the trained bottleneck as a folder of its own.

    Pairs that deletion requests mask are left out, and so are the labels of forgotten classes. The folder holds all
    that `dkvb predict` and `dkvb.load` need, hashes that bind its files to each other, and where the ledger of requests
    ended; with --format onnx, which takes linear heads too, a model.onnx from features to logits that says the same
    in its metadata. With --check: exit code 1 where it is stale, or that cannot be told, and 5 where a file is not as
    it was written.
    """
    if check:
        if which is not None or keep_labels or without_encoder or form != "safetensors":
            raise UsageError(
                "--check looks at the folder alone: leave --model, --keep-labels, --format and --without-encoder out."
            )
        _check(options, folder)
        return
    if form not in ("safetensors", "onnx"):
        raise UsageError(f"--format {form}: give safetensors or onnx.")
    if without_encoder and form != "onnx":
        raise UsageError("--without-encoder goes with --format onnx: other exports name the encoder, and load it.")
    if form == "onnx":
        from dkvb.inference.onnx_graph import library

        library()  # said before a model is loaded
    model, workspace = _model(options, which, keep_labels), options.workspace()
    from dkvb.commands import tables
    from dkvb.commands.answers import Export
    from dkvb.inference import export, onnx_export
    from dkvb.inference.bottleneck_model import Model

    if form == "onnx":
        result = onnx_export.run(model, folder, workspace, options.force, without_encoder)
    elif isinstance(model, Model):
        result = export.run(model, folder, workspace, options.force)
    else:
        raise UsageError(
            f"{which} is a linear head: only a key-value bottleneck can be exported, or either with --format onnx."
        )
    options.show(Export(export=[result]), lambda: tables.export(result))


def _check(options: Options, folder: Path) -> None:
    """`export --check`."""
    workspace = options.workspace()
    from dkvb.commands import tables
    from dkvb.commands.answers import Export
    from dkvb.deletion import export_check
    from dkvb.errors import DamagedArtifact

    checked = export_check.check(workspace, folder)
    said = export_check.in_words(checked)
    options.show(Export(export=[checked]), lambda: tables.export_check(checked, said))
    if checked.verdict != "current":
        typer.echo(f"error: {said}", err=True)
        raise typer.Exit(DamagedArtifact.exit_code if checked.verdict == "damaged" else 1)


def _model(options: Options, which: Path | None, keep_labels: bool) -> Classifier:
    if which is not None:
        if not which.expanduser().is_dir():
            raise UsageError(f"{which} is no folder: give a train or unlearn artifact, or a folder of `dkvb export`.")
        from dkvb.inference.load import load

        return load(which, options.values["seed"], device=options.values["device"] or "auto", keep_labels=keep_labels)
    recipe, workspace = options.recipe(), options.workspace()
    from dkvb.inference.load import load_seed

    return load_seed(recipe, workspace, recipe.run.seeds[0], recipe.run.device, keep_labels=keep_labels)
