"""`dkvb forget`, `restore`, `purge`, `receipt` and `ledger`: deletion requests from start to end."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from dkvb.commands.console import COMMON, UNLEARN, Options, command
from dkvb.errors import UsageError

MASKING = {name: UNLEARN[name] for name in ("method", "na", "ne", "counts", "proxy", "target", "choose")}


Entries = list[dict[str, Any]]


def register(app: typer.Typer) -> None:
    _requests(app)
    _records(app)


def _requests(app: typer.Typer) -> None:
    @app.command("forget")
    @command(COMMON, MASKING)
    def forget(
        options: Options,
        classes: Annotated[
            list[str], typer.Argument(help="Names or ids of the classes; several make one request.", metavar="CLASS...")
        ],
        plan: Annotated[bool, typer.Option("--plan", help="Only measure what it would do; write nothing.")] = False,
    ) -> None:
        """Open a deletion request: mask classes on top of all that is forgotten already."""
        from dkvb.evaluation.forget_sets import check_names

        recipe, workspace = options.recipe(), options.workspace()
        check_names(recipe, workspace, classes)  # before anything heavy is imported
        from dkvb.deletion import forget as forgetting

        more = {} if options.values["counts"] else {"counts": "last-epoch"}
        entries = forgetting.run(recipe.with_(unlearn=more), workspace, classes, plan)
        options.show({"forget": entries}, lambda: tables(entries))

    @app.command("restore")
    @command(COMMON)
    def restore(
        options: Options, request: Annotated[str, typer.Argument(help="A request's id.", metavar="REQUEST")]
    ) -> None:
        """Take a request back: its mask no longer applies (not once it is purged)."""
        from dkvb.deletion import forget as forgetting

        entry = forgetting.restore(options.workspace(), request)
        options.show({"restore": [entry]}, lambda: [f"{entry['request']}: {entry['state']}"])

    @app.command("purge")
    @command(COMMON)
    def purge(
        options: Options,
        request: Annotated[str, typer.Argument(help="A request's id.", metavar="REQUEST")],
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
        keys: Annotated[
            str, typer.Option("--keys", help="keep, or reinit to fit keys and train values anew without the classes.")
        ] = "keep",
    ) -> None:
        """Erase a request's pairs and its classes' samples from the whole workspace. Irreversible."""
        from dkvb.deletion import purge as purging

        if keys not in ("keep", "reinit"):
            raise UsageError(f"--keys {keys}: give keep or reinit.")
        workspace = options.workspace()
        found = purging.plan(workspace, request)
        if not yes and found["state"] != "purged":
            _ask(found)
        entry = purging.run(options.recipe(), workspace, request, keys)
        options.show({"purge": [entry]}, lambda: _purged(entry))


def _ask(found: dict[str, Any]) -> None:
    """Raise UsageError unless the person at the terminal agrees."""
    if not sys.stdin.isatty():
        raise UsageError(
            f"A purge is irreversible: give --yes to purge request {found['request']} without being asked."
        )
    models = (
        f" Models that still know them are deleted: {', '.join(found['models_deleted'])}."
        if found["models_deleted"]
        else ""
    )
    question = f"Erase {', '.join(found['names'])} (request {found['request']}) for good?{models}"
    if not typer.confirm(question, default=False, err=True):
        raise UsageError("Nothing was purged.")


def _purged(entry: dict[str, Any]) -> Iterable[Any]:
    from rich.markup import escape

    if entry["skipped"]:
        yield escape(f"{entry['request']} was purged before, at {entry['purge']['finished']}.")
        return
    purge = entry["purge"]
    scanned, rows, pairs = purge["scan"], purge["rows"], sum(purge["done"]["values"].values())
    yield escape(
        f"{entry['request']}: erased {rows['train']:,} training and {rows['test']:,} test rows and the values of"
        f" {pairs:,} pairs; scanned {scanned['files']:,} files ({scanned['bytes'] / 1e6:,.0f} MB), found none of them,"
        f" in {purge['seconds']:.1f} s."
    )
    yield "The data that they were embedded from lie outside of the workspace and were not touched."


def _records(app: typer.Typer) -> None:
    @app.command("receipt")
    @command(COMMON)
    def receipt(
        options: Options, request: Annotated[str, typer.Argument(help="A request's id.", metavar="REQUEST")]
    ) -> None:
        """Write a request's receipt, as JSON and as a page, and its hash into the ledger."""
        from dkvb.deletion import receipt as receipts

        entry = receipts.run(options.workspace(), request)
        options.show(
            {"receipt": [entry]},
            lambda: [f"{entry['path']}", f"{entry['page']}", *entry["done"], *entry["not_claimed"]],
        )

    @app.command("ledger")
    @command(COMMON)
    def ledger_(options: Options) -> None:
        """List what was done with all requests, and check that no entry was changed, removed or reordered; exit 1 if
        one was."""
        from dkvb.deletion import ledger

        result = ledger.verify(options.workspace())
        options.show(result, lambda: _ledger(result))
        if not result["valid"]:
            typer.echo(f"error: {result['path']} was altered: {result['problem']}.", err=True)
            raise typer.Exit(1)


def tables(entries: Entries) -> Iterable[Any]:
    """Requests for a person: pairs masked, accuracies before and after, neighbours harmed."""
    from rich.markup import escape

    from dkvb.commands.tables import _table, percent

    table = _table("Forgotten", "request", "classes", "pairs masked", "new", "forget test", "retain test", "seconds")
    for e in entries:
        change = [
            f"{percent(e['before'][name])} -> {percent(e['after'][name])}" for name in ("forget_test", "retain_test")
        ]
        row = (e["request"] or "(plan)", ", ".join(e["names"]), f"{e['masked']:,}", f"{e['newly_masked']:,}", *change)
        table.add_row(*map(escape, row), f"{e['seconds']:.3f}")
    yield table
    for e in entries:
        if e.get("note"):
            yield escape(e["note"])
        if e.get("harmed"):
            table = _table(f"Retained classes that lose most ({e['harmed'][0]['split']})", "class", "before", "after")
            for row in e["harmed"]:
                table.add_row(escape(row["name"]), percent(row["before"]), percent(row["after"]))
            yield table
        if e.get("plan"):
            yield escape(
                f"Nothing was written. Measured in {e['seconds_total']:.2f} s; leave --plan away to open the request."
            )


def _ledger(result: dict[str, Any]) -> Iterable[Any]:
    from rich.markup import escape

    from dkvb.commands.tables import _table

    table = _table("Ledger", "entry", "time", "event", "request", "hash")
    for e in result["ledger"]:
        table.add_row(str(e["number"]), escape(e["time"]), e["event"], escape(e["request"]), e["hash"][:12])
    yield table
    yield escape("Every entry follows the one before it." if result["valid"] else f"ALTERED: {result['problem']}.")
