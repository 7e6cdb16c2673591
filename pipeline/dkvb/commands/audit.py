"""`dkvb audit`: every unlearning method beside dozens of retrained models, or somebody else's outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dkvb.commands import complete
from dkvb.commands.console import Options, command
from dkvb.commands.flags import FORGET
from dkvb.commands.stages import Which
from dkvb.errors import UsageError

if TYPE_CHECKING:
    from dkvb.records.audit import Audit

app = typer.Typer()
HEADING = "Experiments"


@command(
    app,
    HEADING,
    "recipe data_root seed data_dir device workers scheduler force",
    FORGET,
    examples="""
    dkvb audit digits                    # every method beside 20 retrained models
    dkvb audit cifar10 --forget dog --oracles 100 --workers 8
    dkvb audit digits --shadows 32       # and how well an attacker with shadow models does
    dkvb audit --kinds values --methods votes,own-votes,logit-mask
    dkvb audit --model outputs.npz       # somebody else's models: what they answered
    """,
)
def audit(
    options: Options,
    which: Which = None,
    oracles: Annotated[
        int,
        typer.Option("--oracles", help="Retrained models of each kind; 100 for KLoM to say anything.", metavar="N"),
    ] = 20,
    shadows: Annotated[
        int,
        typer.Option(
            "--shadows",
            help="Models of each kind that each learn half of the rows, for the attack U-LiRA: 64, say. 0 leaves it"
            " out.",
            metavar="N",
        ),
    ] = 0,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kinds",
            help="Models to audit, separated by commas: values, values-keys, linear, converged, ridge"
            " [default: values, linear, ridge].",
            metavar="NAMES",
            autocompletion=complete.one_of("values", "values-keys", "linear", "converged", "ridge"),
        ),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--methods",
            help="Methods to audit, separated by commas [default: all, rivals among them].",
            metavar="NAMES",
            autocompletion=complete.methods,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            help="Audit somebody else's outputs: an .npz of logits of unlearned and retrained models (docs/audit.md),"
            " or a folder with one for each method.",
            metavar="FILE|DIR",
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write all measures as a CSV file, a row each.", metavar="FILE")
    ] = None,
    parquet: Annotated[Path | None, typer.Option("--parquet", help="The same as Parquet.", metavar="FILE")] = None,
) -> None:
    """Measure all methods beside models retrained without the class.

    Trains originals and retrained models of other training seeds (kept, and gone on with where it was stopped),
    unlearns each original by every method, and measures how far what is left is from retrained models. Does the work of
    `dkvb embed`, `quantize` and `train` first where that is missing. A method that fails is listed with its error.
    """
    for name, file in (("--csv", csv), ("--parquet", parquet)):
        if file is not None and file.is_dir():
            raise UsageError(f"{name} {file} is a folder: give a file.")
    if model is not None and (which or kinds or methods or shadows):
        raise UsageError("--model audits outputs as they are: leave RECIPE, --shadows, --kinds and --methods out.")
    done = _given(options, model) if model is not None else _own(options, which, oracles, shadows, kinds, methods)
    _write(done, csv, parquet)
    from dkvb.commands import audit_tables
    from dkvb.commands.answers import Audits
    from dkvb.records.audit import AuditAbout

    about = [AuditAbout(**one.model_dump(include=set(AuditAbout.model_fields))) for one in done]
    entries = [entry for one in done for entry in one.entries]
    options.show(Audits(audit=entries, about=about), lambda: audit_tables.audits(done))


def _given(options: Options, model: Path) -> list[Audit]:
    workspace = options.workspace()
    from dkvb.audit import given

    return [given.run(model, workspace)]


def _own(
    options: Options,
    which: str | None,
    oracles: int,
    shadows: int,
    kinds: list[str] | None,
    methods: list[str] | None,
) -> list[Audit]:
    from dkvb.evaluation.forget_sets import check_names

    recipe, workspace = options.recipe(which), options.workspace()
    check_names(recipe, workspace)
    from dkvb.audit import run
    from dkvb.audit.subjects import subjects
    from dkvb.stages import embed, quantize, train

    audited = subjects(_names(kinds), _names(methods))  # refused before the work
    run.check(oracles, shadows)
    embed.run(recipe, workspace)
    check_names(recipe, workspace)
    quantize.run(recipe, workspace)
    train.run(recipe, workspace)
    return run.run(recipe, workspace, oracles, audited, options.force, shadows)


def _names(given: list[str] | None) -> list[str]:
    """Names out of lists that are separated by commas."""
    return [name.strip() for part in given or [] for name in part.split(",") if name.strip()]


def _write(done: Sequence[Audit], csv: Path | None, parquet: Path | None) -> None:
    if csv is None and parquet is None:
        return
    from dkvb.audit.table import frame
    from dkvb.workspace.files import atomic

    table = frame(done)
    if csv is not None:
        with atomic(csv.absolute()) as temporary:
            table.write_csv(temporary)
    if parquet is not None:
        with atomic(parquet.absolute()) as temporary:
            table.write_parquet(temporary)
