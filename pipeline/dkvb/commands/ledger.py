"""`dkvb ledger`: what was done with all requests, checked from inside the workspace and against what lies outside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from dkvb.commands import deletion_tables
from dkvb.commands.console import Options, command
from dkvb.commands.deletion import HEADING
from dkvb.errors import UsageError

app = typer.Typer()


@command(
    app,
    HEADING,
    "data_dir reports_dir",
    examples="""
    dkvb ledger
    dkvb ledger --keygen ~/dkvb-key      # then DKVB_SIGNING_KEY=~/dkvb-key signs what is entered
    dkvb ledger --verify --public-key ~/dkvb-key.pub
    dkvb ledger --timestamp https://tsa.example.org
    """,
)
def ledger(
    options: Options,
    verify: Annotated[bool, typer.Option("--verify", help="Only say whether it holds; list no entries.")] = False,
    public_key: Annotated[
        Path | None,
        typer.Option("--public-key", help="PEM file of the key that must have signed every entry.", metavar="FILE"),
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option("--expect", help="Hash of an entry that must be there, as receipts print it.", metavar="HASH"),
    ] = None,
    keygen: Annotated[
        Path | None,
        typer.Option(
            "--keygen", help="Make an Ed25519 key: FILE outside of the workspace, and FILE.pub.", metavar="FILE"
        ),
    ] = None,
    timestamp: Annotated[
        str | None,
        typer.Option("--timestamp", help="Have an authority (RFC 3161) stamp the last entry.", metavar="URL"),
    ] = None,
    tsa_certificate: Annotated[
        Path | None,
        typer.Option("--tsa-certificate", help="PEM file of the root certificates of that authority.", metavar="FILE"),
    ] = None,
) -> None:
    """List what was done with all requests, and check it.

    Every request must have its entries and every entry its request: classes, model, masks, values, state, numbers and
    receipts. Exit code 1 where an entry, a request or a receipt was changed or removed.
    Without a key that shows accidents, not what somebody rewrites who knows how; see docs/deletion.md.
    """
    if expect is not None and not re.fullmatch("[0-9a-f]{64}", expect):
        raise UsageError(f"--expect {expect}: give the 64 hex digits that a receipt calls the ledger's head.")
    workspace = options.workspace()
    from dkvb.deletion import ledger as keeping
    from dkvb.deletion import timestamps
    from dkvb.records.ledger import KeyPair
    from dkvb.workspace import signing

    keys = None
    if keygen is not None:
        private, public = signing.keygen(workspace, keygen)
        keys = KeyPair(private=str(private), public=str(public))
    stamped = timestamps.stamp(workspace, timestamp) if timestamp else None
    trusted = signing.public_keys(public_key) if public_key else None
    result = keeping.verify(workspace, keeping.Against(trusted, expect, tsa_certificate))
    result = result.model_copy(update={"keys": keys, "stamped": stamped})
    options.show(result, lambda: deletion_tables.ledger(result, listed=not verify))
    if not result.valid:
        more = f" (and {len(result.problems) - 1} more)" if len(result.problems) > 1 else ""
        typer.echo(f"error: {result.path} and what it is about do not fit: {result.problem}{more}.", err=True)
        raise typer.Exit(1)
