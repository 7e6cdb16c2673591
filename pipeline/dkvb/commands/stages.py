"""`dkvb run` and the five stages: embed, quantize, train, unlearn, report.

A command reads and checks what it is given before it imports the stages, which bring heavy libraries with them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dkvb.commands import complete
from dkvb.commands.console import Options, command
from dkvb.commands.flags import AFTERWARDS, FORGET, MASKING, READING, method_of_dial, sweep
from dkvb.errors import UsageError
from dkvb.runtime.beside import Begin, beside, here

if TYPE_CHECKING:
    from dkvb.commands import answers
    from dkvb.recipe import Recipe
    from dkvb.records.embed import EmbedPart, EmbedResult
    from dkvb.workspace.artifacts import Workspace

app = typer.Typer()
HEADING = "Stages"
SPREAD = "recipe data_root data_dir device workers scheduler force"
UNLEARNING = {**FORGET, **MASKING, **AFTERWARDS}

Which = Annotated[
    str | None,
    typer.Argument(
        help="Built-in recipe or .toml file, as --recipe.", metavar="RECIPE", autocompletion=complete.recipes
    ),
]


@command(
    app,
    HEADING,
    f"{SPREAD} seed reports_dir",
    {**sweep(True), **UNLEARNING, **READING},
    examples="""
    dkvb run digits                      # a minute on a laptop, nothing to download
    dkvb run cifar10 --forget dog        # the paper's first data set
    dkvb run                             # the recipe of dkvb.toml
    """,
)
def run(options: Options, which: Which = None) -> None:
    """All five stages in order, ending in an HTML report.

    What an earlier run has done is kept: the same command goes on where it stopped.
    """
    from dkvb.evaluation.forget_sets import check_names

    recipe, workspace = options.recipe(which), options.workspace()
    check_names(recipe, workspace)
    with beside(TRAINING, _trains_beside(recipe, workspace)) as begin:
        answer = _all_stages(recipe, workspace, options.force, begin)
    from dkvb.commands import tables

    options.show(answer, lambda: tables.run(answer))


TRAINING = ("dkvb.stages.train", "dkvb.stages.unlearn", "dkvb.methods.scrub", "sklearn.linear_model")
"""What the stages that train import."""


def _trains_beside(recipe: Recipe, workspace: Workspace) -> bool:
    """Whether a second process is to import what training needs: on a first run, with a core to spare, of data that are
    read and coded without it."""
    from dkvb.runtime.parallel import cores, distributed_run
    from dkvb.workspace.names import MANIFEST

    light = recipe.data.features or recipe.encoder.name == "pixels"
    idle = cores() > 1 and not distributed_run(recipe.run) and "torch" not in sys.modules
    return light and idle and not any((workspace.root / "train").glob(f"*/{MANIFEST}"))


SMALL = 2**24
"""Numbers in the training features up to which work is shared with the second process: of larger ones, threads keep
all cores busy, and two processes would hold them twice."""


def _small(embedded: Sequence[EmbedResult | EmbedPart]) -> bool:
    from dkvb.records.embed import EmbedResult

    return all(isinstance(one, EmbedResult) and one.train * one.dim <= SMALL for one in embedded)


def _all_stages(recipe: Recipe, workspace: Workspace, force: bool, begin: Begin) -> answers.Run:
    from dkvb.commands import answers
    from dkvb.evaluation.forget_sets import check_names
    from dkvb.pages.library import library_begun
    from dkvb.stages import embed, quantize

    embedded = embed.run(recipe, workspace, force=force)
    check_names(recipe, workspace)  # the classes are known now: a mistyped one costs no training
    quantized = quantize.run(recipe, workspace, force=force)
    training = begin("dkvb.stages.train", "run", recipe, workspace, force)
    with library_begun(workspace.reports):  # beside the work, so that the pages need not wait for it
        from dkvb.stages import report, unlearn

        other = None
        if begin is not here:
            import altair  # noqa: F401 - the pages will need it, and this process waits

            other = begin if _small(embedded) else None
        trained = training()
        return answers.Run(
            embed=embedded,
            quantize=quantized,
            train=trained,
            unlearn=unlearn.run(recipe, workspace, force=force, begin=other),
            report=report.run(recipe, workspace, begin=other),
        )


@command(
    app,
    HEADING,
    SPREAD,
    READING,
    examples="""
    dkvb embed --recipe cifar10 --device cuda
    dkvb embed --shard-range 0:8         # one job of an array
    """,
)
def embed(
    options: Options,
    part: Annotated[
        str | None,
        typer.Option("--shard-range", help="Only shards FIRST to LAST - 1, for job arrays.", metavar="FIRST:LAST"),
    ] = None,
) -> None:
    """Stage 1: run the frozen encoder once and keep the features.

    Features that were computed elsewhere are copied into the workspace and checked.
    """
    recipe, workspace, shards = options.recipe(), options.workspace(), _shard_range(part)
    from dkvb.commands import answers, tables
    from dkvb.stages import embed

    entries = embed.run(recipe, workspace, force=options.force, shard_range=shards)
    options.show(answers.Embed(embed=entries), lambda: tables.embed(entries))


@command(app, HEADING, f"{SPREAD} seed", examples="dkvb quantize --recipe cifar10 --workers 4")
def quantize(options: Options) -> None:
    """Stage 2: fit the keys and code every sample.

    Needs `dkvb embed`.
    """
    recipe, workspace = options.recipe(), options.workspace()
    from dkvb.commands import answers, tables
    from dkvb.stages import quantize

    entries = quantize.run(recipe, workspace, force=options.force)
    options.show(answers.Quantize(quantize=entries), lambda: tables.quantize(entries))


@command(app, HEADING, f"{SPREAD} seed", examples="dkvb train --recipe cifar10 --seed 1")
def train(options: Options) -> None:
    """Stage 3: train the bottleneck's values and a linear head.

    Needs `dkvb embed`; does the work of `dkvb quantize` first where that is missing.
    """
    recipe, workspace = options.recipe(), options.workspace()
    from dkvb.commands import answers, tables
    from dkvb.stages import over_seeds, train

    entries = train.run(recipe, workspace, force=options.force)
    summary = over_seeds.train_summary(entries)
    answer = answers.Train(train=entries, summary=summary)
    options.show(answer, lambda: [*tables.train(entries), *tables.summary(summary)])


@command(
    app,
    HEADING,
    f"{SPREAD} seed",
    {**sweep(None), **UNLEARNING},
    examples="""
    dkvb unlearn --forget truck --method activations --na 180000
    dkvb unlearn --each --method examples --ne auto --sweep
    """,
)
def unlearn(options: Options) -> None:
    """Stage 4: forget classes, by each of several methods.

    Each starts from the trained model: needs `dkvb train`. To forget classes one after another, as requests come in,
    use `dkvb forget`. Measured with the mask (or the weights) alone, labels of forgotten classes among the answers.
    """
    from dkvb.evaluation.forget_sets import check_names

    recipe, workspace = options.recipe(), options.workspace()
    if options.values["method"]:
        recipe = recipe.with_(unlearn=method_of_dial(options.values))
    check_names(recipe, workspace)
    from dkvb.commands import answers, tables
    from dkvb.stages import over_seeds, unlearn

    entries = unlearn.run(recipe, workspace, force=options.force)
    summary = over_seeds.unlearn_summary(entries)
    answer = answers.Unlearn(unlearn=entries, summary=summary)
    options.show(answer, lambda: [*tables.unlearn(entries), *tables.summary(summary)])


@command(
    app, HEADING, "recipe data_root data_dir reports_dir force", examples="dkvb report --reports-dir public/reports"
)
def report(
    options: Options,
    umap: Annotated[
        bool, typer.Option("--umap", help="Lay maps of features out by UMAP as well (extra `umap`; takes longer).")
    ] = False,
) -> None:
    """Stage 5: HTML pages of everything in the workspace.

    Needs `dkvb train`; pages whose contents have not changed are left as they are.
    """
    recipe, workspace = options.recipe(), options.workspace()
    from dkvb.commands import answers, tables
    from dkvb.stages import report

    entries = report.run(recipe, workspace, force=options.force, umap=umap)
    options.show(answers.Report(report=entries), lambda: tables.report(entries))


def _shard_range(text: str | None) -> tuple[int, int] | None:
    """`3:7` as (3, 7).

    Raises:
        UsageError: not two whole numbers.
    """
    if text is None:
        return None
    first, colon, last = text.partition(":")
    if not (colon and first.isdigit() and last.isdigit()):
        raise UsageError(f"--shard-range {text}: give FIRST:LAST, such as 0:8 for the first eight shards.")
    return int(first), int(last)
