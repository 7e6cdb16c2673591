"""Writes the tables of docs/leaderboard.md: `python docs/make_leaderboard.py AUDIT.json ...`, files that hold what
`dkvb audit --json` printed.

First a table for each kind of model over all data sets: mean distances, and the mean of a method's places. Then one for
each data set and kind, with means over its audits (forget sets); the methods stand in the order of their distance from
retrained models. What was not measured in every audit is missing, and the number of audits that a mean is of is said.
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


Found = dict[tuple[str, str], dict[str, list[Entry]]]
"""Data set and kind of model -> method -> its entries, one an audit."""


def sorted_out(audits: Sequence[dict[str, Any]]) -> Found:
    """In the order in which they come."""
    found: Found = defaultdict(lambda: defaultdict(list))
    for audit in audits:
        of = {about["seed"]: about for about in audit["about"]}
        for entry in audit["audit"]:
            found[of[entry["seed"]]["name"], entry["model"]][entry["method"]].append(entry)
    return found


def overview(audits: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A table for each kind of model that several data sets have; methods in the order of their mean place."""
    found = sorted_out(audits)
    for kind in dict.fromkeys(kind for _, kind in found):
        names = [name for name, of in found if of == kind]
        if len(names) < 2:
            continue
        yield f"### All data sets: {NAMES.get(kind, kind)}\n"
        yield f"| method | mean place | {' | '.join(names)} | most left | seconds, with choosing |"
        yield f"|---|---|{'---|' * len(names)}---|---|"
        places = {name: _places(found[name, kind]) for name in names}
        lines = []
        for method in dict.fromkeys(method for name in names for method in found[name, kind]):
            of = [found[name, kind].get(method, []) for name in names]
            entries = [entry for one in of for entry in one]
            stood = [places[name][method] for name in names if method in places[name]]
            place, first = _mean(stood), entries[0]
            left = [e["measures"]["forget accuracy"]["value"] for e in entries if "forget accuracy" in e["measures"]]
            label = f"*{first['label']}*" if first["role"] != "unlearned" else first["label"]
            cells = [
                label,
                "–" if place is None else f"{place:.1f}",
                *(_percent(_distance(one)) for one in of),
                _percent(max(left, default=None)),
                _seconds([_whole(entry) for entry in entries]),
            ]
            lines.append((first["role"] == "unlearned", float("inf") if place is None else place, cells))
        yield from (f"| {' | '.join(cells)} |" for *_, cells in sorted(lines, key=lambda line: line[:2]))
        yield ""


def _places(methods: dict[str, list[Entry]]) -> dict[str, float]:
    """Method -> where it stands by distance on one data set, from 1 on."""
    unlearned = {method: _distance(of) for method, of in methods.items() if of[0]["role"] == "unlearned"}
    there = {method: distance for method, distance in unlearned.items() if distance is not None}
    return {method: place for place, method in enumerate(sorted(there, key=lambda m: there[m]), start=1)}


def tables(audits: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A table for each data set and kind, in the order in which they come."""
    sets: dict[str, list[str]] = defaultdict(list)
    for audit in audits:
        for about in audit["about"]:
            sets[about["name"]].append("+".join(about["forget_names"]))
    for (name, kind), methods in sorted_out(audits).items():
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
            _seconds([_whole(entry) for entry in entries]),
        ]
        yield f"| {' | '.join(cells)} |"


def _order(entries: list[Entry]) -> tuple[bool, float]:
    """The two lines first, then by distance; what has none comes last."""
    distance = _distance(entries)
    return entries[0]["role"] == "unlearned", float("inf") if distance is None else distance


def _distance(entries: list[Entry]) -> float | None:
    return _mean([entry["measures"][DISTANCE]["value"] for entry in entries if DISTANCE in entry["measures"]])


def _whole(entry: Entry) -> float | None:
    """Seconds of unlearning one model, and of choosing settings."""
    return None if entry["seconds"] is None else entry["seconds"] + (entry["seconds_choosing"] or 0)


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
    written = "\n".join([*overview(given), *tables(given)]).rstrip()
    page.write_text(f"{kept}{BEGIN}\n{written}\n", encoding="utf-8")
