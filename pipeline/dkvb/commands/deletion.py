"""`dkvb forget`, `restore`, `purge`, `receipt` and `ledger`: deletion requests from start to end."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dkvb.commands import complete
from dkvb.commands.console import Options, command
from dkvb.commands.flags import BY_MASKING, by_id, method_of_dial
from dkvb.errors import UsageError
from dkvb.records.levels import WORDS

if TYPE_CHECKING:
    from dkvb.records.deletion import ExactPlan, ForgottenSamples, LevelCost, Plan, RequestEntry
    from dkvb.records.ledger import Ledger
    from dkvb.records.purges import PurgePlan

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
        _forget_exactly(options, named, samples, plan)
        return
    from dkvb.commands.answers import Forget
    from dkvb.deletion import forget as forgetting

    more = method_of_dial(options.values)
    if not options.values["counts"]:
        more["counts"] = "last-epoch"  # they lie beside the model: no pass over the forget set
    entries = (forgetting.plan if plan else forgetting.run)(recipe.with_(unlearn=more), workspace, named)
    options.show(Forget(forget=list(entries)), lambda: tables(entries))


def _forget_exactly(options: Options, named: Sequence[str | int], samples: Path | None, plan: bool) -> None:
    """`forget --exact` and `forget --samples`."""
    if masking := [name for name in BY_MASKING if options.values[name] is not None]:
        raise UsageError(
            f"--{masking[0]} says which pairs are masked, and --exact and --samples mask none: leave one of them out."
        )
    if samples is not None and named:
        raise UsageError("Give classes or --samples: each makes a request of its own.")
    recipe, workspace = options.recipe(), options.workspace()
    from dkvb.commands.answers import Forget
    from dkvb.workspace import chosen_samples
    from dkvb.workspace.requests import need_features

    rows = None if samples is None else chosen_samples.read(need_features(recipe, workspace), samples)
    if plan:
        from dkvb.deletion import costs

        plans = costs.plan(recipe, workspace, named, rows)
        options.show(Forget(forget=list(plans)), lambda: _exactly_planned(plans))
        return
    from dkvb.deletion import exact  # it trains, and imports torch

    entries = exact.classes(recipe, workspace, named) if rows is None else exact.samples(recipe, workspace, rows)
    options.show(Forget(forget=list(entries)), lambda: tables(entries))


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
    options.show(Purge(purge=[entry]), lambda: _purged(entry))


@command(app, HEADING, "data_dir reports_dir", examples="dkvb receipt r0001")
def receipt(options: Options, request: Request) -> None:
    """Write a request's receipt, as JSON and as a page.

    Its hash goes into the ledger.
    """
    workspace = options.workspace()
    from dkvb.commands.answers import Receipt
    from dkvb.deletion import receipt as receipts

    entry = receipts.run(workspace, request)
    options.show(Receipt(receipt=[entry]), lambda: [entry.path, entry.page, *entry.done, *entry.not_claimed])


@command(app, HEADING, "data_dir", examples="dkvb ledger --json")
def ledger(options: Options) -> None:
    """List what was done with all requests, and check the list.

    Exit code 1 where an entry was changed, removed or reordered.
    """
    workspace = options.workspace()
    from dkvb.deletion import ledger

    result = ledger.verify(workspace)
    options.show(result, lambda: _ledger(result))
    if not result.valid:
        typer.echo(f"error: {result.path} was altered: {result.problem}.", err=True)
        raise typer.Exit(1)


def _ask(planned: PurgePlan) -> None:
    """Raise UsageError unless the person at the terminal agrees."""
    if not sys.stdin.isatty():
        raise UsageError(f"A purge is irreversible: give --yes to purge request {planned.request} without being asked.")
    models = ""
    if planned.models_deleted:
        models = f" Models that still know them are deleted: {', '.join(planned.models_deleted)}."
    question = f"Erase {planned.what} (request {planned.request}) for good?{models}"
    if not typer.confirm(question, default=False, err=True):
        raise UsageError("Nothing was purged.")


def _purged(entry: RequestEntry) -> Iterable[Any]:
    from rich.markup import escape

    purge = entry.purge
    if purge is None:
        return
    if entry.skipped:
        yield escape(f"{entry.request} was purged before, at {purge.finished}.")
        return
    values = "put values trained without them in the place of all"
    if not entry.level:
        values = f"the values of {sum(purge.done.values.values()):,} pairs"
    yield escape(
        f"{entry.request}: erased {purge.rows.train:,} training and {purge.rows.test:,} test rows and"
        f" {values}; scanned {purge.scan.files:,} files"
        f" ({purge.scan.bytes / 1e6:,.0f} MB), found none of them, in {purge.seconds:.1f} s."
    )
    yield "The data that they were embedded from lie outside of the workspace and were not touched."


def _exactly_planned(plans: Sequence[ExactPlan]) -> Iterable[Any]:
    from rich.markup import escape

    for plan in plans:
        what = ", ".join(plan.names) if plan.samples is None else f"{plan.samples:,} samples"
        yield escape(f"Forgetting {what} exactly trains values on the {plan.rows:,} training samples that stay.")
        yield _costs(plan.costs)
        yield "Nothing was written; leave --plan away to open the request."


def _costs(costs: Sequence[LevelCost]) -> Any:
    from rich.markup import escape

    from dkvb.commands.tables import new_table

    table = new_table("Three levels of forgetting", "level", "what it does", "seconds", "taken back")
    table.columns[1].justify = "left"
    for cost in costs:
        seconds = (
            "-" if cost.seconds is None else f"{cost.seconds:.2f}" if cost.measured else f"about {cost.seconds:.1f}"
        )
        does = cost.does if cost.possible else "not for single samples: no mask forgets them"
        table.add_row(cost.level, escape(does), seconds if cost.possible else "-", "yes" if cost.reversible else "no")
    return table


def tables(entries: Sequence[RequestEntry] | Sequence[Plan]) -> Iterable[Any]:
    """Requests for a person: pairs masked, accuracies before and after, neighbours harmed."""
    from rich.markup import escape

    from dkvb.commands.tables import new_table, percent

    table = new_table("Forgotten", "request", "classes", "pairs masked", "new", "forget test", "retain test", "seconds")
    for e in entries:
        forget = f"{percent(e.before.forget_test)} -> {percent(e.after.forget_test)}"
        retain = f"{percent(e.before.retain_test)} -> {percent(e.after.retain_test)}"
        row = (
            e.request or "(plan)",
            ", ".join(e.names) if e.request is None else e.what,
            f"{e.masked:,}",
            f"{e.newly_masked:,}",
            forget,
            retain,
        )
        table.add_row(*map(escape, row), f"{e.seconds:.3f}")
    yield table
    for e in entries:
        if e.note:
            yield escape(e.note)
        if e.request and e.level:
            yield escape(f"{e.request}: exact, {WORDS['exact']}.")
        if e.request and e.samples:
            yield escape(_samples(e.samples))
        if e.request is None:
            yield from _planned(e)


def _samples(samples: ForgottenSamples) -> str:
    loss = samples.loss
    unseen = "" if loss.unseen is None else f"; test samples of the same classes have {loss.unseen:.3f}"
    return (
        f"Mean loss of the samples: {loss.before:.3f} before, {loss.after:.3f} by values that never had them{unseen}."
    )


def _planned(plan: Plan) -> Iterable[Any]:
    from rich.markup import escape

    from dkvb.commands.tables import new_table, percent

    if plan.harmed:
        table = new_table(f"Retained classes that lose most ({plan.harmed[0].split})", "class", "before", "after")
        for row in plan.harmed:
            table.add_row(escape(row.name), percent(row.before), percent(row.after))
        yield table
    if plan.costs:
        yield _costs(plan.costs)
    yield escape(f"Nothing was written. Measured in {plan.seconds_total:.2f} s; leave --plan away to open the request.")


def _ledger(result: Ledger) -> Iterable[Any]:
    from rich.markup import escape

    from dkvb.commands.tables import new_table

    table = new_table("Ledger", "entry", "time", "event", "request", "hash")
    for e in result.ledger:
        table.add_row(str(e.number), escape(e.time), e.event, escape(e.request), e.hash[:12])
    yield table
    yield escape("Every entry follows the one before it." if result.valid else f"ALTERED: {result.problem}.")
