"""`dkvb requests`: all deletion requests, who was told of them, and refusing one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dkvb.commands import complete
from dkvb.commands.console import Options, command
from dkvb.commands.deletion import HEADING
from dkvb.errors import UsageError

if TYPE_CHECKING:
    from dkvb.records.requests import RequestRow

app = typer.Typer()


@command(
    app,
    HEADING,
    "recipe data_root data_dir reports_dir",
    examples="""
    dkvb requests
    dkvb requests r0001 --notified "hosting partner"
    dkvb requests --refuse r0002 --because "needed for a pending claim"
    """,
)
def requests(
    options: Options,
    request: Annotated[
        str | None,
        typer.Argument(
            help="Id of the request of which somebody was told.", metavar="REQUEST", autocompletion=complete.requests
        ),
    ] = None,
    notified: Annotated[
        list[str] | None,
        typer.Option("--notified", help="Enter who was told of REQUEST; may be repeated.", metavar="WHO"),
    ] = None,
    refuse: Annotated[
        str | None,
        typer.Option(
            "--refuse",
            help="Refuse a request: it is taken back, and the reason kept.",
            metavar="REQUEST",
            autocompletion=complete.requests,
        ),
    ] = None,
    because: Annotated[str | None, typer.Option("--because", help="Why it is refused.", metavar="TEXT")] = None,
) -> None:
    """List all deletion requests: state, verdict, receipt and deadline.

    The deadline is `[deletion] days` of the recipe after the request was opened (30). Refusals and who was told are
    entered into the ledger.
    """
    if (refuse is None) != (because is None):
        raise UsageError("--refuse REQUEST and --because TEXT go together: give both.")
    if (request is None) != (not notified):
        raise UsageError("Give REQUEST and --notified WHO together, or neither.")
    recipe, workspace = options.recipe(), options.workspace()
    from dkvb.commands.answers import Requests
    from dkvb.deletion import answering
    from dkvb.workspace import request_table

    if refuse is not None and because is not None:
        answering.refuse(recipe, workspace, refuse, because)
    if request is not None:
        answering.notify(workspace, request, notified or [])
    listed = request_table.rows(workspace, recipe.deletion.days)
    options.show(Requests(requests=listed), lambda: _table(listed))


def _table(rows: Sequence[RequestRow]) -> Iterable[Any]:
    from rich.markup import escape

    from dkvb.commands.tables import new_table

    if not rows:
        yield "No request was made: `dkvb forget CLASS` opens one."
        return
    table = new_table("Requests", "request", "forgets", "state", "verdict", "receipt", "days", "deadline", "told")
    for row in rows:
        state = "refused" if row.refused else row.level or row.state
        told = ", ".join(notice.who for notice in row.notified) or "-"
        late = f"{row.deadline} OVERDUE" if row.overdue else row.deadline
        cells = (row.request, row.what, state, row.verdict or "-", "yes" if row.receipt else "-", str(row.days))
        table.add_row(*map(escape, (*cells, late if row.answered is None else f"answered {row.answered[:10]}", told)))
    yield table
