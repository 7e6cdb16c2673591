"""`dkvb reproduce` and `dkvb membership`: experiments that train many models."""

from __future__ import annotations

from typing import Annotated

import typer

from dkvb.commands import complete
from dkvb.commands.console import Options, command
from dkvb.commands.declare import absolute
from dkvb.commands.flags import FORGET
from dkvb.commands.printing import echo, print_tables

app = typer.Typer()
HEADING = "Experiments"
USES = "recipe data_root seed data_dir device workers scheduler force"


@command(
    app,
    HEADING,
    f"{USES} reports_dir",
    examples="""
    dkvb reproduce --dry-run             # the plan, with the time it takes here
    dkvb reproduce --only cifar10
    dkvb reproduce --recipe mine.toml    # the same experiments on your own data
    """,
)
def reproduce(
    options: Options,
    only: Annotated[
        str | None,
        typer.Option(
            "--only", help="Data sets of the paper, by recipe, separated by commas [default: all].", metavar="NAMES"
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", help="Training seeds [default: the recipe's, five in the paper's].", metavar="N"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")] = False,
) -> None:
    """Plan the paper's experiments, then run them.

    Without --recipe the data sets are the paper's, whatever dkvb.toml is here. With it they are the recipe's, and its
    methods join those of the paper. Steps that are done are kept. Exit code 1 where a step failed; the others are
    done, and the same command tries it again.
    """
    own = options.recipe() if options.values["recipe"] else None
    from dkvb.commands import tables
    from dkvb.commands.answers import Reproduce
    from dkvb.experiments import paper_plan as experiments

    root = options.values["data_root"]
    chosen = experiments.recipes(_names(only), seeds, own, None if root is None else absolute(root))
    if options.values["seed"] is not None:
        chosen = [recipe.with_(run={"seeds": [options.values["seed"]]}) for recipe in chosen]
    workspace = options.workspace()
    steps = experiments.plan(chosen, workspace, options.force, dry_run)
    planned = [step.entry for step in steps]
    if not options.json:
        print_tables(tables.reproduce(planned))
    entries = planned if dry_run else experiments.run(steps, workspace, chosen[0])
    options.show(Reproduce(reproduce=entries), lambda: [] if dry_run else tables.reproduce(entries))
    if failed := sum(entry.state == "failed" for entry in entries):
        echo(f"error: {failed} of {len(entries)} steps failed; the same command tries them again.", err=True)
        raise typer.Exit(1)


@command(
    app,
    HEADING,
    USES,
    FORGET,
    examples="dkvb membership --forget dog --held-out cat --methods activations,retrain",
)
def membership(
    options: Options,
    held_out: Annotated[
        str | None,
        typer.Option(
            "--held-out",
            help="Class that takes no part in training, by name, or by id as '#3' [default: the last one].",
            metavar="CLASS",
            autocompletion=complete.classes,
        ),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--methods",
            help="Methods to attack, separated by commas [default: all that defend]. `retrain` is the oracle.",
            metavar="NAMES",
            autocompletion=complete.methods,
        ),
    ] = None,
) -> None:
    """Attack unlearned models: was this class ever trained on?

    Class membership inference (the paper's Appendix D). Needs `dkvb embed`; trains models without the held-out class.
    """
    from dkvb.evaluation.forget_sets import check_names

    recipe, workspace = options.recipe(), options.workspace()
    check_names(recipe, workspace)
    check_names(recipe, workspace, [] if held_out is None else [held_out])
    from dkvb.commands import tables
    from dkvb.commands.answers import Membership
    from dkvb.experiments import membership as attacks

    names = _names(*(methods or [])) or attacks.DEFENCES
    entries = attacks.run(recipe, workspace, held_out, names, force=options.force)
    options.show(Membership(membership=entries), lambda: tables.membership(entries))


def _names(*given: str | None) -> list[str]:
    """Names out of lists that are separated by commas."""
    return [name.strip() for part in given for name in (part or "").split(",") if name.strip()]
