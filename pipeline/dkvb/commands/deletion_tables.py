"""Requests, plans, purges and the ledger as tables for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dkvb.records.levels import WORDS

if TYPE_CHECKING:
    from dkvb.records.deletion import ExactPlan, ForgottenSamples, LevelCost, Plan, RequestEntry
    from dkvb.records.ledger import Ledger, ReceiptEntry


def purged(entry: RequestEntry) -> Iterable[Any]:
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


def exactly_planned(plans: Sequence[ExactPlan]) -> Iterable[Any]:
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


def forgotten(entries: Sequence[RequestEntry] | Sequence[Plan]) -> Iterable[Any]:
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


def issued(entry: ReceiptEntry) -> Iterable[Any]:
    """Where a receipt lies, what it says, and the hash to keep elsewhere."""
    from rich.markup import escape

    files = [entry.path, entry.page, *([entry.envelope] if entry.envelope else [])]
    yield from map(escape, [*files, *entry.done, *entry.not_claimed])
    yield f"Ledger head: {entry.head} (kept elsewhere, it is what `dkvb ledger --expect` asks for)."


def ledger(result: Ledger, listed: bool = True) -> Iterable[Any]:
    """Entries, unless `listed` is False, and what does not fit or was not checked."""
    from rich.markup import escape

    if result.keys:
        yield escape(f"{result.keys.private} signs what is entered once DKVB_SIGNING_KEY names it; keep it apart.")
        yield escape(f"{result.keys.public} is for whoever checks.")
    if listed:
        yield _entries(result)
    if result.stamped:
        yield escape(f"Entry {result.stamped.entry} was stamped at {result.stamped.time} by {result.stamped.url}.")
    yield from (escape(f"Not checked: {one}.") for one in result.not_checked)
    if result.valid:
        yield "Every entry follows the one before it, and requests, masks and receipts are what the entries say."
    yield from (escape(f"ALTERED: {one}.") for one in result.problems)
    yield f"Head: {result.head}"


def _entries(result: Ledger) -> Any:
    from rich.markup import escape

    from dkvb.commands.tables import new_table

    table = new_table("Ledger", "entry", "time", "event", "request", "hash")
    for e in result.ledger:
        table.add_row(str(e.number), escape(e.time), e.event, escape(e.request), e.hash[:12])
    return table
