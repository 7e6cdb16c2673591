"""Results as tables for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.markup import escape
from rich.table import Table

from dkvb.metrics.intervals import summary as over_seeds
from dkvb.runtime.progress import clock

Entries = list[dict[str, Any]]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    return table


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}%"


def size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def run(result: dict[str, Entries]) -> Iterable[Any]:
    yield from train(result["train"])
    yield from unlearn(result["unlearn"])
    for stage in ("train", "unlearn"):
        yield from summary(over_seeds(stage, result[stage]))
    yield from report(result["report"])


def embed(entries: Entries) -> Iterable[Any]:
    table = _table("Embedded", "data", "encoder", "train", "test", "width", "classes", "time")
    for e in entries:
        if "shards_left" in e:
            yield f"{e['shards'] - len(e['shards_left'])} of {e['shards']} shards done; left: {e['shards_left']}"
            return
        row = (
            e["source"],
            e["encoder"] or "-",
            f"{e['train']:,}",
            f"{e['test']:,}",
            str(e["dim"]),
            str(len(e["classes"])),
            _time(e),
        )
        table.add_row(*row)
    yield table


def quantize(entries: Entries) -> Iterable[Any]:
    table = _table("Keys", "seed", "codebooks", "pairs", "keys in use", "distinct", "quantisation error", "time")
    for e in entries:
        row = (str(e["seed"]), str(e["codebooks"]), str(e["pairs"]), percent(e["used"]), percent(e["unique"]))
        table.add_row(*row, f"{e['quantisation_error']:.4f}", _time(e))
    yield table


def train(entries: Entries) -> Iterable[Any]:
    table = _table("Trained", "model", "seed", "train accuracy", "test accuracy", "time")
    for e in entries:
        table.add_row(
            {"dkvb": "key-value bottleneck", "linear": "linear head"}[e["model"]],
            str(e["seed"]),
            percent(e["train"]),
            percent(e["test"]),
            _time(e),
        )
        if "converged" in e:
            head = e["converged"]
            table.add_row(
                "linear head, converged",
                str(e["seed"]),
                percent(head["train"]),
                percent(head["test"]),
                clock(head["seconds"]),
            )
    yield table


def unlearn(entries: Entries) -> Iterable[Any]:
    table = _table(
        "Unlearned (test accuracy)", "method", "seed", "forgotten", "N", "pairs masked", "forget", "retain", "seconds"
    )
    for e in entries:
        n = f"{e['n_name']} {e['n']:,}" if e["n_name"] else "-"
        change = [f"{percent(e['before'][s])} -> {percent(e['after'][s])}" for s in ("forget_test", "retain_test")]
        masked = f"{e['masked']:,}" if e["pairs_total"] else "-"
        table.add_row(
            e["method"], str(e["seed"]), escape(", ".join(e["forget_names"])), n, masked, *change, f"{e['seconds']:.3f}"
        )
    yield table
    if any("retraining" in e for e in entries):
        table = _table(
            "Retrained on the retain set (test accuracy)", "method", "seed", "forgotten", "epochs", "forget", "retain"
        )
        for e in entries:
            if points := e.get("retraining"):
                change = [
                    f"{percent(points[0][s])} -> {percent(points[-1][s])}" for s in ("forget_test", "retain_test")
                ]
                table.add_row(
                    e["method"], str(e["seed"]), escape(", ".join(e["forget_names"])), str(len(points) - 1), *change
                )
        yield table
    for e in entries:
        if e["note"]:
            yield escape(f"{e['method']}: {e['note']}")


def membership(entries: Entries) -> Iterable[Any]:
    table = _table(
        "Class membership inference (50% is a perfect defence)",
        *(
            "method",
            "seed",
            "forgotten",
            "held out",
            "N",
            "attacker",
            "loss forgotten",
            "loss held out",
            "retain accuracy",
        ),
    )
    for e in entries:
        n = f"{e['n_name']} {e['n']:,}" if e["n_name"] else "-"
        losses = (f"{e[f'loss_validation_{role}']:.3f}" for role in ("forget", "held_out"))
        names = escape(", ".join(e["forget_names"])), escape(e["held_out_name"])
        table.add_row(
            e["method"], str(e["seed"]), *names, n, percent(e["attack_test"]), *losses, percent(e["retain_test"])
        )
    yield table
    for e in entries:
        if e["note"]:
            yield escape(f"{e['method']}: {e['note']}")


def summary(rows: Entries) -> Iterable[Any]:
    """Means over seeds with their 95 % intervals; nothing where there is one seed."""
    trained = [row for row in rows if row["stage"] == "train" and row["test"]["seeds"] > 1]
    if trained:
        table = _table(
            f"Over {trained[0]['test']['seeds']} seeds (mean, 95% interval)", "model", "train accuracy", "test accuracy"
        )
        for row in trained:
            table.add_row(row["model"], _interval(row["train"]), _interval(row["test"]))
        yield table
    forgotten = [row for row in rows if row["stage"] == "unlearn" and row["seconds"]["seeds"] > 1]
    if forgotten:
        title = f"Over {forgotten[0]['seconds']['seeds']} seeds (test accuracy: mean, 95% interval)"
        table = _table(title, "method", "forgotten", "forget after", "retain before", "retain after", "retain change")
        for row in forgotten:
            after, before, change = row["after"], row["before"], row["change"]
            cells = (after["forget_test"], before["retain_test"], after["retain_test"], change["retain_test"])
            table.add_row(row["method"], ", ".join(map(str, row["forget"])), *map(_interval, cells))
        yield table


def _interval(over: dict[str, Any] | None) -> str:
    if over is None:
        return "-"
    spread = f" ({100 * over['low']:.2f} to {100 * over['high']:.2f})" if over["sd"] is not None else ""
    return f"{100 * over['mean']:.2f}%{spread}"


def report(entries: Entries) -> Iterable[Any]:
    for e in entries:
        yield escape(f"Report: {e['index']}")


def predict(entries: Entries) -> Iterable[Any]:
    ranks = max((len(e["top"]) for e in entries), default=1)
    others = [f"then, {rank}" for rank in range(2, ranks + 1)]
    table = _table("Predicted", "input", "class", "probability", *others)
    for e in entries:
        rest = [f"{at['class']} {percent(at['probability'])}" for at in e["top"][1:]]
        table.add_row(escape(e["input"]), escape(e["class"]), percent(e["probability"]), *map(escape, rest))
    yield table


def export(entries: Entries) -> Iterable[Any]:
    for e in entries:
        names = ", ".join(e["classes"][c] for c in e["forgotten"])
        forgotten = f"; without {names} ({e['masked']:,} pairs left out)" if e["forgotten"] else ""
        yield escape(f"Exported to {e['path']} ({size(e['bytes'])}){forgotten}")


def reproduce(entries: Entries) -> Iterable[Any]:
    """The plan: a row per data set and step, its seeds together."""
    table = _table("Experiments", "data", "step", "done", "missing", "skipped", "failed", "time to come", "disk")
    grouped: dict[tuple[str, str], Entries] = {}
    for e in entries:
        grouped.setdefault((e["data"], e["step"]), []).append(e)
    whole = {
        data
        for data in {e["data"] for e in entries}
        if all(e["state"] == "skipped" for e in entries if e["data"] == data)
    }
    for (data, step), same in grouped.items():
        if data in whole:  # one line will do
            if step == "embed":
                table.add_row(data, "all", "0", "0", str(sum(e["data"] == data for e in entries)), "0", "-", "-")
            continue
        states = [str(sum(e["state"] == state for e in same)) for state in ("done", "missing", "skipped", "failed")]
        left = [e for e in same if e["state"] == "missing"]
        seconds = None if any(e["estimate_seconds"] is None for e in left) else sum(e["estimate_seconds"] for e in left)
        needed = sum(e["estimate_bytes"] or 0 for e in left)
        table.add_row(
            data,
            step,
            *states,
            "-" if not left else "unknown" if seconds is None else clock(seconds),
            size(needed) if needed else "-",
        )
    yield table
    for why in dict.fromkeys(f"{e['data']}: {e['why']}" for e in entries if e["why"]):
        yield escape(why)
    left = [e for e in entries if e["state"] == "missing"]
    if left:
        known = sum(e["estimate_seconds"] or 0 for e in left)
        unknown = sorted({e["data"] for e in left if e["step"] == "embed" and e["estimate_seconds"] is None})
        more = f", besides embedding {', '.join(unknown)} with an encoder that has not run here" if unknown else ""
        yield (
            f"About {clock(known)} on this machine{more}, and {size(sum(e['estimate_bytes'] or 0 for e in left))} of"
            " disk."
        )
        digits = sorted({e["step"] for e in left if e["estimate_from"] == "digits"})
        if digits:
            yield (
                "Scaled from a short run of the digits recipe here, for want of larger ones in this workspace:"
                f" {', '.join(digits)}."
            )
        if any(e["estimate_from"] == "workspace" for e in left):
            yield (
                "All other times are scaled from steps that ran in this workspace."
                if digits
                else "Scaled from steps that ran here."
            )


def status(result: dict[str, Any]) -> Iterable[Any]:
    table = _table("In the workspace", "stage", "what", "state", "size", "time")
    for e in result["status"]:
        table.add_row(
            e["stage"],
            escape(e["what"]),
            e["state"],
            size(e["bytes"]) if e["bytes"] else "-",
            clock(e["seconds"]) if e["seconds"] else "-",
        )
    yield table
    if result["requests"]:
        table = _table("Deletion requests", "request", "classes", "state", "masked", "created")
        for e in result["requests"]:
            table.add_row(escape(e["id"]), escape(", ".join(e["names"])), e["state"], f"{e['masked']:,}", e["created"])
        yield table
    for e in result["capacity"]:
        yield (
            f"Room for more (seed {e['seed']}): {e['allowed']:.1%} of all pairs; the poorest codebook has {e['least']}"
            f" of {e['pairs']}."
        )
        if e["warning"]:
            yield escape(f"WARNING: {e['warning']}")
    yield escape(f"Next: {result['next']}")


def doctor(entries: Entries) -> Iterable[Any]:
    table = _table("This machine", "", "state", "detail")
    for column in table.columns:
        column.justify = "left"
    for e in entries:
        table.add_row(e["check"], "ok" if e["ok"] else "missing", escape(e["detail"]))
    yield table


def _time(entry: dict[str, Any]) -> str:
    return "already done" if entry.get("skipped") else clock(entry["seconds"])
