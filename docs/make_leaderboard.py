"""Writes the tables of docs/leaderboard.md: `python docs/make_leaderboard.py AUDIT.json ...`, files that hold what
`dkvb audit --json` printed.

Each table is of one data set and one kind of model, with means over its audits (forget sets); the methods stand in the
order of their distance from retrained models. What was not measured in every audit is missing, and the number of audits
that a mean is of is said.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

NAMES = {
    "values": "the bottleneck's values",
    "linear": "a linear head",
    "ridge": "ridge regression on random features",
    "values-keys": "the bottleneck's values, with keys of their own",
    "converged": "a converged linear head",
}
DISTANCE = "destinations, each"
COLUMNS = {"forget accuracy": "forget", "retain accuracy": "retain", "worst retained class": "worst class"}
BEGIN = "<!-- tables: docs/make_leaderboard.py -->\n"

Entry = dict[str, Any]


def tables(audits: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A table for each data set and kind, in the order in which they come."""
    found: dict[tuple[str, str], dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    sets: dict[str, list[str]] = defaultdict(list)
    for audit in audits:
        of = {about["seed"]: about for about in audit["about"]}
        for about in audit["about"]:
            sets[about["name"]].append("+".join(about["forget_names"]))
        for entry in audit["audit"]:
            found[of[entry["seed"]]["name"], entry["model"]][entry["method"]].append(entry)
    for (name, kind), methods in found.items():
        yield f"### {name}: {NAMES.get(kind, kind)}\n"
        yield f"Forgotten, one at a time: {', '.join(sets[name])}.\n"
        yield from _table(methods)
        yield ""


def _table(methods: dict[str, list[Entry]]) -> Iterator[str]:
    yield "| method | forget | retain | worst class | distance | from, to | at the null | seconds | with choosing |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for entries in sorted(methods.values(), key=_order):
        first = entries[0]
        measured = [entry["measures"] for entry in entries if entry["error"] is None]
        label = f"*{first['label']}*" if first["role"] != "unlearned" else first["label"]
        if len(measured) < len(entries):
            label += f" (failed in {len(entries) - len(measured)} of {len(entries)})"
        shares = [_mean([of[column]["value"] for of in measured if column in of]) for column in COLUMNS]
        distances = [of[DISTANCE] for of in measured if DISTANCE in of]
        near = sum(_at_null(of) for of in distances)
        cells = [
            label,
            *(
                _percent(share, signed=column == "worst retained class")
                for column, share in zip(COLUMNS, shares, strict=True)
            ),
            _percent(_mean([of["value"] for of in distances])),
            f"{_percent(min(of['value'] for of in distances))}, {_percent(max(of['value'] for of in distances))}"
            if distances
            else "–",
            f"{near} of {len(distances)}",
            _seconds([entry["seconds"] for entry in entries]),
            _seconds(
                [
                    None if entry["seconds"] is None else entry["seconds"] + (entry["seconds_choosing"] or 0)
                    for entry in entries
                ]
            ),
        ]
        yield f"| {' | '.join(cells)} |"


def _order(entries: list[Entry]) -> tuple[bool, float]:
    """The two lines first, then by distance; what has none comes last."""
    distance = _mean([entry["measures"][DISTANCE]["value"] for entry in entries if DISTANCE in entry["measures"]])
    return entries[0]["role"] == "unlearned", float("inf") if distance is None else distance


def _at_null(measured: dict[str, Any]) -> bool:
    """Whether its interval meets the middle 95 % of retrained models."""
    if any(measured.get(name) is None for name in ("low", "high", "null_low", "null_high")):
        return False
    return bool(measured["low"] <= measured["null_high"] and measured["null_low"] <= measured["high"])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _percent(share: float | None, signed: bool = False) -> str:
    if share is None:
        return "–"
    return f"{100 * share:+.1f}%".replace("-", "−") if signed else f"{100 * share:.1f}%"


def _seconds(values: Sequence[float | None]) -> str:
    there = [value for value in values if value is not None]
    return f"{sum(there) / len(there):.2g}" if there else "–"


if __name__ == "__main__":
    page = Path(__file__).with_name("leaderboard.md")
    kept = page.read_text(encoding="utf-8").partition(BEGIN)[0]
    given = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]
    page.write_text(kept + BEGIN + "\n" + "\n".join(tables(given)).rstrip() + "\n", encoding="utf-8")
