"""Results as tables for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from dkvb.commands.answers import Run
from dkvb.metrics.accuracy import percent
from dkvb.metrics.intervals import FEW
from dkvb.records.accuracies import Accuracies
from dkvb.records.embed import EmbedPart, EmbedResult
from dkvb.records.experiments import MembershipResult, PlanStep
from dkvb.records.over_seeds import OverSeeds, TrainSummary, UnlearnSummary
from dkvb.records.quantize import QuantizeResult
from dkvb.records.report import ReportResult
from dkvb.records.train import TrainResult
from dkvb.records.unlearn import UnlearnResult
from dkvb.records.use import ExportCheck, ExportResult, Prediction
from dkvb.runtime.progress import clock
from dkvb.stages.over_seeds import train_summary, unlearn_summary


def new_table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    return table


def size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def run(answer: Run) -> Iterable[Any]:
    yield from train(answer.train)
    yield from unlearn(answer.unlearn)
    yield from summary([*train_summary(answer.train), *unlearn_summary(answer.unlearn)])
    yield from report(answer.report)


def embed(entries: Sequence[EmbedResult | EmbedPart]) -> Iterable[Any]:
    table = new_table("Embedded", "data", "encoder", "train", "test", "width", "classes", "time")
    for e in entries:
        if isinstance(e, EmbedPart):
            yield f"{e.shards - len(e.shards_left)} of {e.shards} shards done; left: {e.shards_left}"
            return
        sizes = (f"{e.train:,}", f"{e.test:,}", str(e.dim), str(len(e.classes)))
        table.add_row(e.source, e.encoder or "-", *sizes, _time(e))
    yield table


def quantize(entries: Sequence[QuantizeResult]) -> Iterable[Any]:
    table = new_table("Keys", "seed", "codebooks", "pairs", "keys in use", "distinct", "quantisation error", "time")
    for e in entries:
        row = (str(e.seed), str(e.codebooks), str(e.pairs), percent(e.used), percent(e.unique))
        table.add_row(*row, f"{e.quantisation_error:.4f}", _time(e))
    yield table


def train(entries: Sequence[TrainResult]) -> Iterable[Any]:
    table = new_table("Trained", "model", "seed", "train accuracy", "test accuracy", "time")
    names = {"dkvb": "key-value bottleneck", "linear": "linear head"}
    for e in entries:
        name = names[e.model] + (", converged" if e.until == "converged" else "")
        table.add_row(name, str(e.seed), percent(e.train), percent(e.test), _time(e))
        if (head := e.converged) and e.until is None:
            accuracies = (percent(head.train), percent(head.test))
            table.add_row("linear head, converged", str(e.seed), *accuracies, clock(head.seconds))
    yield table


def unlearn(entries: Sequence[UnlearnResult]) -> Iterable[Any]:
    columns = ("method", "seed", "forgotten", "N", "pairs masked", "forget", "retain", "seconds", "with choosing N")
    table = new_table("Unlearned (test accuracy)", *columns)
    for e in entries:
        masked = f"{e.masked:,}" if e.pairs_total else "-"
        forget, retain = _change(e.before, e.after)
        forget = f"{forget} (not learned)" if e.baseline is False else forget
        table.add_row(*_about(e), _n(e), masked, forget, retain, f"{e.seconds:.3f}", _with_choosing(e))
    yield table
    if any(e.retraining for e in entries):
        title = "Retrained on the retain set (test accuracy)"
        table = new_table(title, "method", "seed", "forgotten", "epochs", "forget", "retain")
        for e in entries:
            if points := e.retraining:
                table.add_row(*_about(e), str(len(points) - 1), *_change(points[0], points[-1]))
        yield table
    yield from _notes(entries)


def _with_choosing(entry: UnlearnResult) -> str:
    return "-" if entry.seconds_choose is None else f"{entry.seconds + entry.seconds_choose:.3f}"


def membership(entries: Sequence[MembershipResult]) -> Iterable[Any]:
    columns = ("method", "seed", "forgotten", "held out", "N", "attacker", "from retrained", "forest", "from retrained")
    title = "Class membership inference (as good as it gets: right as often as on the retrained model)"
    table = new_table(title, *columns, "losses", "retain")
    for e in entries:
        losses = f"{e.loss_validation_forget:.2f}, {e.loss_validation_held_out:.2f}"
        right = (e.attack_test, e.from_retrained, e.forest_test, e.forest_from_retrained)
        attacked = (escape(e.held_out_name), _n(e), *map(percent, right))
        table.add_row(*_about(e), *attacked, losses, percent(e.retain_test))
    yield table
    yield from _notes(entries)


def _about(entry: UnlearnResult | MembershipResult) -> tuple[str, str, str]:
    return entry.method, str(entry.seed), escape(", ".join(entry.forget_names))


def _n(entry: UnlearnResult | MembershipResult) -> str:
    if isinstance(entry, MembershipResult) and entry.shift is not None:
        return f"shift {entry.shift:.2f}"
    return f"{entry.n_name} {entry.n:,}" if entry.n_name else "-"


def _change(before: Accuracies, after: Accuracies) -> tuple[str, str]:
    """Forget and retain accuracy on test data, before and after."""
    return (
        f"{percent(before.forget_test)} -> {percent(after.forget_test)}",
        f"{percent(before.retain_test)} -> {percent(after.retain_test)}",
    )


def _notes(entries: Sequence[UnlearnResult] | Sequence[MembershipResult]) -> Iterable[Any]:
    for e in entries:
        if e.note:
            yield escape(f"{e.method}: {e.note}")


def summary(rows: Sequence[TrainSummary | UnlearnSummary]) -> Iterable[Any]:
    """Means over seeds with their range or 95 % interval; nothing where there is one seed."""
    models = [row for row in rows if isinstance(row, TrainSummary) and row.test and row.test.seeds > 1]
    if models and models[0].test:
        title = f"Over {models[0].test.seeds} seeds ({_brackets(models[0].test)})"
        table = new_table(title, "model", "train accuracy", "test accuracy")
        for model in models:
            table.add_row(model.model, _interval(model.train), _interval(model.test))
        yield table
    methods = [row for row in rows if isinstance(row, UnlearnSummary) and row.seconds and row.seconds.seeds > 1]
    if methods and methods[0].seconds:
        title = f"Over {methods[0].seconds.seeds} seeds (test accuracy: {_brackets(methods[0].seconds)})"
        table = new_table(
            title, "method", "forgotten", "forget after", "retain before", "retain after", "retain change"
        )
        for row in methods:
            cells = (row.after.forget_test, row.before.retain_test, row.after.retain_test, row.change.retain_test)
            table.add_row(row.method, ", ".join(map(str, row.forget)), *map(_interval, cells))
        yield table


def _interval(over: OverSeeds | None) -> str:
    if over is None:
        return "-"
    low, high = (over.least, over.most) if over.seeds <= FEW else (over.low, over.high)
    ends = "" if low is None or high is None else f" ({100 * low:.2f} to {100 * high:.2f})"
    return f"{100 * over.mean:.2f}%{ends}"


def _brackets(over: OverSeeds) -> str:
    """What stands in brackets behind a mean, and what it is of."""
    what = "range" if over.seeds <= FEW else "95% interval"
    return f"mean, {what}: of training, not of samples"


def report(entries: Sequence[ReportResult]) -> Iterable[Any]:
    for e in entries:
        yield escape(f"Report: {e.index}")


def predict(entries: Sequence[Prediction]) -> Iterable[Any]:
    ranks = max((len(e.top) for e in entries), default=1)
    others = [f"then, {rank}" for rank in range(2, ranks + 1)]
    masked = ["nearest masked"] if any(e.masked_nearest for e in entries) else []
    table = new_table("Predicted", "input", "class", "probability", *others, *masked)
    for e in entries:
        rest = [f"{at.class_name} {percent(at.probability)}" for at in e.top[1:]]
        share = [percent(e.masked_nearest)] if masked else []
        table.add_row(escape(e.input), escape(e.class_name), percent(e.probability), *map(escape, rest), *share)
    yield table


def export(result: ExportResult) -> Iterable[Any]:
    known = dict(zip(result.ids, result.classes, strict=True)) | {out.id: out.name for out in result.left_out}
    names = ", ".join(known[c] for c in result.forgotten)
    pairs = f" ({result.masked:,} pairs left out)" if result.masked else ""
    forgotten = f"; without {names}{pairs}" if result.forgotten else ""
    yield escape(f"Exported to {result.path} ({size(result.bytes)}){forgotten}")


def export_check(checked: ExportCheck, said: str) -> Iterable[Any]:
    """What is right of an export, and what cannot be seen; what is wrong is told as an error."""
    if checked.verdict == "current":
        yield escape(said)
    yield "Not checked:"
    yield from (escape(f"- {one}") for one in checked.not_checked)


def reproduce(steps: Sequence[PlanStep]) -> Iterable[Any]:
    """The plan: a row per data set and step, its seeds together; one row for a data set that is not here."""
    columns = ("data", "step", "done", "missing", "skipped", "failed", "time to come", "disk", "memory")
    table = new_table("Experiments", *columns)
    grouped: dict[tuple[str, str], list[PlanStep]] = {}
    by_data: dict[str, list[PlanStep]] = {}
    for step in steps:
        by_data.setdefault(step.data, []).append(step)
    for data, mine in by_data.items():
        here = any(step.state != "skipped" for step in mine)
        for step in mine:
            grouped.setdefault((data, step.step if here else "all"), []).append(step)
    for (data, name), same in grouped.items():
        states = [str(sum(step.state == state for step in same)) for state in ("done", "missing", "skipped", "failed")]
        table.add_row(data, name, *states, *_to_come([step for step in same if step.state in ("missing", "skipped")]))
    yield table
    for why in dict.fromkeys(f"{step.data}: {step.why}" for step in steps if step.why):
        yield escape(why)
    if to_come := [step for step in steps if step.estimate_bytes is not None and step.state in ("missing", "skipped")]:
        yield from _estimate(to_come)


def _to_come(steps: Sequence[PlanStep]) -> tuple[str, str, str]:
    """The time, the disk and the memory that steps will take."""
    known = [step.estimate_seconds for step in steps if step.estimate_seconds is not None]
    estimated = [step for step in steps if step.estimate_bytes is not None]
    time = "-" if not estimated else clock(sum(known)) if len(known) == len(steps) else "unknown"
    needed, memory = _filled(estimated)
    return time, size(needed) if needed else "-", size(memory) if memory else "-"


def _filled(steps: Sequence[PlanStep]) -> tuple[int, int]:
    """Disk that steps fill together, and the memory that the hungriest takes."""
    return sum(step.estimate_bytes or 0 for step in steps), max(
        (step.estimate_memory_bytes or 0 for step in steps), default=0
    )


def _estimate(to_come: Sequence[PlanStep]) -> Iterable[str]:
    """What all steps to come will take, and what the estimate rests on."""
    known = sum(step.estimate_seconds or 0 for step in to_come)
    unknown = sorted({step.data for step in to_come if step.estimate_seconds is None})
    more = f", besides embedding {', '.join(unknown)} with an encoder that does not run here" if unknown else ""
    disk, memory = _filled(to_come)
    yield (
        f"About {clock(known)} on this machine as it is now{more}, {size(disk)} of disk and {size(memory)} of memory."
        " Downloads are not counted."
    )
    if measured := sorted({step.step for step in to_come if step.estimate_from == "machine"}):
        yield (
            "Measured on this machine just now, on made-up data of the recipe's shape, for want of such steps in this"
            f" workspace: {', '.join(measured)}."
        )
    if any(step.estimate_from == "workspace" for step in to_come):
        yield (
            "All other times are scaled from steps that ran in this workspace."
            if measured
            else "Scaled from steps that ran here."
        )


def _time(entry: EmbedResult | QuantizeResult | TrainResult) -> str:
    return "already done" if entry.skipped else clock(entry.seconds or 0.0)
