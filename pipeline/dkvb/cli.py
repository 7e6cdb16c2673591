"""The command line: `dkvb COMMAND`. Heavy libraries are imported inside commands, so that help is instant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dkvb.commands import deletion, membership, reproduce, use, verify
from dkvb.commands.console import COMMON, EMBED, UNLEARN, Options, command, shard_range
from dkvb.version import __version__

app = typer.Typer(
    name="dkvb",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Make a classifier on a frozen encoder forget a class in seconds, and prove it.",
    epilog="Stages: embed, quantize, train, unlearn, report; `dkvb run` does all. Each picks up where it stopped.",
)


Recipe = Annotated[str | None, typer.Argument(help="Built-in recipe or path of a .toml file.", metavar="[RECIPE]")]


Sweep = Annotated[bool, typer.Option("--sweep/--no-sweep", help="Also measure the curve over N.")]


def _version(show: bool) -> None:
    if show:
        typer.echo(f"dkvb {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Make a classifier on a frozen encoder forget a class in seconds, and prove it."""


@app.command("run")
@command(COMMON, EMBED, UNLEARN)
def run(options: Options, which: Recipe = None, sweep: Sweep = True) -> None:
    """All five stages in order, ending in an HTML report."""
    from dkvb.evaluation.forget_sets import check_names

    recipe, workspace = options.recipe(which, unlearn={"sweep": sweep}), options.workspace()
    check_names(recipe, workspace)  # before anything heavy is imported
    from dkvb.commands import tables
    from dkvb.stages import embed, quantize, report, train, unlearn

    result: dict[str, Any] = {"embed": embed.run(recipe, workspace, force=options.force)}
    check_names(recipe, workspace)  # the classes are known now: a mistyped one costs no training
    for stage in (quantize, train, unlearn):
        result[stage.__name__.rpartition(".")[2]] = stage.run(recipe, workspace, force=options.force)
    result["report"] = report.run(recipe, workspace)
    options.show(result, lambda: tables.run(result))


@app.command("embed")
@command(COMMON, EMBED)
def embed_(
    options: Options,
    part: Annotated[
        str | None, typer.Option("--shard-range", help="Only shards FIRST:LAST (last excluded), for job arrays.")
    ] = None,
) -> None:
    """Stage 1: run the frozen encoder once and keep the features."""
    from dkvb.commands import tables
    from dkvb.stages import embed

    entries = embed.run(options.recipe(), options.workspace(), force=options.force, shard_range=shard_range(part))
    options.show({"embed": entries}, lambda: tables.embed(entries))


@app.command("quantize")
@command(COMMON)
def quantize_(options: Options) -> None:
    """Stage 2: fit the keys and code every sample."""
    from dkvb.commands import tables
    from dkvb.stages import quantize

    result = {"quantize": quantize.run(options.recipe(), options.workspace(), force=options.force)}
    options.show(result, lambda: tables.quantize(result["quantize"]))


@app.command("train")
@command(COMMON)
def train_(options: Options) -> None:
    """Stage 3: train the values and the linear head (quantizes first if that is missing)."""
    from dkvb.commands import tables
    from dkvb.stages import over_seeds, train

    entries = train.run(options.recipe(), options.workspace(), force=options.force)
    summary = over_seeds.train_summary(entries)
    options.show({"train": entries, "summary": summary}, lambda: [*tables.train(entries), *tables.summary(summary)])


@app.command("unlearn")
@command(COMMON, UNLEARN)
def unlearn_(options: Options, sweep: Sweep = False) -> None:
    """Stage 4: forget classes, starting from the trained model."""
    from dkvb.evaluation.forget_sets import check_names

    recipe, workspace = options.recipe(unlearn={"sweep": sweep}), options.workspace()
    check_names(recipe, workspace)  # before anything heavy is imported
    from dkvb.commands import tables
    from dkvb.stages import over_seeds, unlearn

    entries = unlearn.run(recipe, workspace, force=options.force)
    summary = over_seeds.unlearn_summary(entries)
    options.show({"unlearn": entries, "summary": summary}, lambda: [*tables.unlearn(entries), *tables.summary(summary)])


@app.command("report")
@command(COMMON)
def report_(options: Options) -> None:
    """Stage 5: HTML pages of everything in the workspace."""
    from dkvb.commands import tables
    from dkvb.stages import report

    result = {"report": report.run(options.recipe(), options.workspace(), force=options.force)}
    options.show(result, lambda: tables.report(result["report"]))


@app.command("status")
@command(COMMON)
def status_(options: Options) -> None:
    """What is done, how large it is, and the next command."""
    from dkvb.commands import status, tables

    result = status.status(options.recipe(), options.workspace())
    options.show(result, lambda: tables.status(result))


@app.command("init")
@command(COMMON)
def init(
    options: Options,
    name: Annotated[
        str | None,
        typer.Argument(help="Recipe to start from [default: cifar10]; folder and features are for your own data."),
    ] = None,
) -> None:
    """Write dkvb.toml here, from a built-in recipe."""
    from dkvb.errors import UsageError
    from dkvb.recipe import builtin_text
    from dkvb.workspace.files import write_text

    name = name or options.values["recipe"] or "cifar10"
    text, path = builtin_text(name), Path.cwd() / "dkvb.toml"
    if path.exists() and not options.force:
        raise UsageError(f"{path} is already there: edit it, or give --force to replace it.")
    write_text(path, text)
    options.show(
        {"init": [{"path": str(path), "recipe": name}]}, lambda: [f"wrote {path} (from the built-in recipe {name})"]
    )


@app.command("doctor")
@command(COMMON)
def doctor_(options: Options) -> None:
    """What this machine offers: devices and why, FAISS build, weights and data found."""
    from dkvb.commands import doctor, tables

    result = {"doctor": doctor.examine(options.recipe(), options.workspace())}
    options.show(result, lambda: tables.doctor(result["doctor"]))


membership.register(app)


reproduce.register(app)


verify.register(app)


use.register(app)


deletion.register(app)


def main() -> None:
    """Entry point of the `dkvb` command."""
    app()
