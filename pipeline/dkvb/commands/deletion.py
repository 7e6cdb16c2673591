"""`dkvb forget`, `restore`, `purge` and `receipt`: deletion requests from start to end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dkvb.commands import complete, deletion_tables
from dkvb.commands.console import Options, command
from dkvb.commands.flags import BY_MASKING, by_id, method_of_dial
from dkvb.errors import UsageError
from dkvb.runtime.visible import visible

if TYPE_CHECKING:
    from dkvb.recipe import Recipe
    from dkvb.records.purges import PurgePlan
    from dkvb.workspace.artifacts import Workspace

app = typer.Typer()
HEADING = "Deletion"

Request = Annotated[
    str,
    typer.Argument(help="Id of a request, or its number (r0001).", metavar="REQUEST", autocompletion=complete.requests),
]


@command(
    app,
    HEADING,
    "recipe data_root seed data_dir",
    {"id_": by_id("Class by id, its position from 0 on, rather than by name; may be repeated."), **BY_MASKING},
    examples="""
    dkvb forget truck --plan             # what it would cost, writing nothing
    dkvb forget truck
    dkvb forget --id 9                   # by position, from 0 on; or '#9', in quotes
    dkvb forget truck ship --method examples --ne auto
    dkvb forget truck --exact            # values trained again without it
    dkvb forget --samples ids.txt        # an id or a path a line, or an .npz with rows or x
    """,
)
def forget(
    options: Options,
    classes: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names of the classes; several make one request. An id as '#3' (in quotes) or --id 3.",
            metavar="CLASS",
            autocompletion=complete.classes,
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what it would do and what each level would cost; write nothing.")
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Train the values again without the classes, rather than mask pairs.")
    ] = False,
    samples: Annotated[
        Path | None,
        typer.Option(
            "--samples",
            help="Forget single training samples, exactly: a file with an id or a path a line, or an .npz with rows"
            " (row numbers of the training set) or x (feature rows).",
            metavar="FILE",
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why it is made; kept in the request and the ledger.", metavar="TEXT")
    ] = None,
    pseudonym: Annotated[
        bool,
        typer.Option(
            "--pseudonym",
            help="Salted hashes in the place of class names in ids, ledger and receipts; a purge erases the names.",
        ),
    ] = False,
) -> None:
    """Open a deletion request: mask classes, or train without them.

    Masks the fewest pairs by which none of the classes' training and validation rows is recognised any more, in the
    trained bottleneck of the recipe's first seed. All forgotten classes are then looked at together, and one that has
    come back gets a larger N. Undone by `dkvb restore`, made final by `dkvb purge`. Measured with the
    mask alone; `dkvb predict` and exports leave the labels out.

    With --exact or --samples nothing is masked: values are trained again on the cached codes, without these classes or
    samples and all that is forgotten already, as if they had never been learned, given the keys. Single samples cannot
    be masked.
    """
    from dkvb.evaluation.forget_sets import check_names

    recipe, workspace = options.recipe(), options.workspace()
    named = [*(classes or []), *(options.values["id_"] or [])]
    check_names(recipe, workspace, named)
    if exact or samples is not None:
        _forget_exactly(options, recipe, workspace, named, samples, plan, {"reason": reason, "pseudonym": pseudonym})
        return
    _forget_by_masks(options, recipe, workspace, named, plan, {"reason": reason, "pseudonym": pseudonym})


def _forget_by_masks(
    options: Options,
    recipe: Recipe,
    workspace: Workspace,
    named: Sequence[str | int],
    plan: bool,
    filed: dict[str, Any],
) -> None:
    """`forget`, unless exactly."""
    from dkvb.commands.answers import Forget
    from dkvb.deletion import forget as forgetting

    more = method_of_dial(options.values)
    if not options.values["counts"]:
        more["counts"] = "last-epoch"  # they lie beside the model: no pass over the forget set
    recipe = recipe.with_(unlearn=more)
    entries = forgetting.plan(recipe, workspace, named) if plan else forgetting.run(recipe, workspace, named, **filed)
    options.show(Forget(forget=list(entries)), lambda: deletion_tables.forgotten(entries))


def _forget_exactly(
    options: Options,
    recipe: Recipe,
    workspace: Workspace,
    named: Sequence[str | int],
    samples: Path | None,
    plan: bool,
    filed: dict[str, Any],
) -> None:
    """`forget --exact` and `forget --samples`."""
    if masking := [name for name in BY_MASKING if options.values[name] is not None]:
        raise UsageError(
            f"--{masking[0]} says which pairs are masked, and --exact and --samples mask none: leave one of them out."
        )
    if samples is not None and named:
        raise UsageError("Give classes or --samples: each makes a request of its own.")
    if samples is not None and filed.pop("pseudonym"):
        raise UsageError("--pseudonym stands for names of classes, and a request for --samples has none: leave it out.")
    from dkvb.commands.answers import Forget
    from dkvb.workspace import chosen_samples
    from dkvb.workspace.requests import need_features

    rows = None if samples is None else chosen_samples.read(need_features(recipe, workspace), samples)
    if plan:
        from dkvb.deletion import costs

        plans = costs.plan(recipe, workspace, named, rows)
        options.show(Forget(forget=list(plans)), lambda: deletion_tables.exactly_planned(plans))
        return
    from dkvb.deletion import exact  # it trains, and imports torch

    entries = (
        exact.classes(recipe, workspace, named, **filed)
        if rows is None
        else exact.samples(recipe, workspace, rows, **filed)
    )
    options.show(Forget(forget=list(entries)), lambda: deletion_tables.forgotten(entries))


@command(app, HEADING, "recipe data_root seed data_dir", examples="dkvb restore r0001")
def restore(options: Options, request: Request) -> None:
    """Take a request back: its mask no longer applies.

    Of an exact request, the values from before it stand again. Where they were trained without other classes or samples
    as well, values are trained anew. Impossible once it is purged.
    """
    recipe, workspace = options.recipe(), options.workspace()
    from dkvb.commands.answers import Restore
    from dkvb.deletion import restore as restoring

    entry = restoring.run(recipe, workspace, request)
    options.show(Restore(restore=[entry]), lambda: [f"{entry.request}: {entry.state}"])


@command(
    app,
    HEADING,
    "recipe data_root data_dir device workers scheduler",
    examples="""
    dkvb purge r0001                     # asks before it erases
    dkvb purge r0001 --yes --keys reinit
    dkvb purge r0001 --yes --exact       # values trained again without it, rather than zeros
    """,
)
def purge(
    options: Options,
    request: Request,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    keys: Annotated[
        str,
        typer.Option(
            "--keys",
            help="Keep them, or reinit: fit keys and train values anew without the classes.",
            metavar="keep|reinit",
            autocompletion=complete.one_of("keep", "reinit"),
        ),
    ] = "keep",
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Make a masked request exact first: train the values again without it."),
    ] = False,
) -> None:
    """Erase a request's classes or samples from the workspace, for good.

    Erases the values of its pairs and the rows of its classes' samples, then searches all files for them. Of an exact
    request, values trained without it take the place of those of training. The data that were embedded lie outside of
    the workspace and are not touched.
    """
    if keys not in ("keep", "reinit"):
        raise UsageError(f"--keys {keys}: give keep or reinit.")
    recipe, workspace = options.recipe(), options.workspace()
    from dkvb.commands.answers import Purge
    from dkvb.deletion import purge as purging

    planned, refit = purging.plan(workspace, request), None
    if not yes and planned.state != "purged":
        _ask(planned)
    if (planned.keys or keys) == "reinit":
        from dkvb.deletion.reinit import Reinit  # it trains, and imports torch

        refit = Reinit(recipe, workspace)
    entry = purging.run(recipe, workspace, request, refit, exact)
    options.show(Purge(purge=[entry]), lambda: deletion_tables.purged(entry))


@command(app, HEADING, "data_dir reports_dir", examples="dkvb receipt r0001")
def receipt(options: Options, request: Request) -> None:
    """Write a request's receipt, as JSON and as a page.

    Its hash goes into the ledger, and copies into the reports. Where `DKVB_SIGNING_KEY` names a key, it is signed.
    """
    workspace = options.workspace()
    from dkvb.commands.answers import Receipt
    from dkvb.deletion import receipt as receipts

    entry = receipts.run(workspace, request)
    options.show(Receipt(receipt=[entry]), lambda: deletion_tables.issued(entry))


def _ask(planned: PurgePlan) -> None:
    """Raise UsageError unless the person at the terminal agrees."""
    if not sys.stdin.isatty():
        raise UsageError(f"A purge is irreversible: give --yes to purge request {planned.request} without being asked.")
    models = ""
    if planned.models_deleted:
        models = f" Models that still know them are deleted: {', '.join(planned.models_deleted)}."
    question = f"Erase {planned.what} (request {planned.request}) for good?{models}"
    if not typer.confirm(visible(question), default=False, err=True):
        raise UsageError("Nothing was purged.")
