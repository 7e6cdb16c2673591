"""The paper's tables and figures, measured beside published: what was run in this workspace, whatever the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from dkvb.metrics.intervals import Stat, stat
from dkvb.metrics.published import PAPER, SPLITS, Published
from dkvb.pages import retraining as retraining_page
from dkvb.pages.charts import palette
from dkvb.pages.charts import paper as paper_charts
from dkvb.pages.dial import paper_n
from dkvb.pages.facts import words
from dkvb.pages.facts.paper_parts import Part, all_parts
from dkvb.pages.facts.records import Collected, MethodResult, ReportRun, Setup
from dkvb.pages.page import Page, data_name, render
from dkvb.workspace.artifacts import Workspace

NAME = "paper.html"


MODELS = {"dkvb": "DKVB", "linear": "Linear head"}


@dataclass(frozen=True)
class Cell:
    """One number: measured over seeds, published, and their difference."""

    measured: Stat | None
    published: float | None = None

    @property
    def difference(self) -> float | None:
        return self.measured.mean - self.published if self.measured and self.published is not None else None


def pages(found: Collected, workspace: Workspace) -> list[Page]:
    """One page, of everything that has been trained."""
    parts = all_parts(found, workspace)
    inputs = [
        [artifact.fingerprint, artifact.manifest["created"]]
        for part in parts
        for artifact in [
            *(trained.artifact for setup in (part.setup, *part.heads) for trained in setup.seeds),
            *(artifact for result in (part.run.methods if part.run else []) for artifact in result.artifacts),
            *((part.run.swept + part.run.retraining) if part.run else []),
            *part.attacks,
        ]
    ]
    about = "every table and figure of the paper, measured beside published"
    return [Page(NAME, "The paper's tables and figures", about, inputs, lambda: page(parts), "paper")]


def page(parts: Sequence[Part]) -> tuple[str, dict[str, pl.DataFrame]]:
    """HTML, and what every table says as one table."""
    charts: dict[str, Any] = {}
    figures: list[dict[str, Any]] = []
    for place, part in enumerate(parts):
        drawn = _figures(part, place)
        charts |= {entry["id"]: entry["spec"] for entry in drawn}
        figures += drawn
    rows = {
        "trained": _trained(parts),
        "changes": _changes(parts),
        "runtimes": _runtimes(parts),
        "attacks": _attacks(parts),
    }
    tables = {
        name: frame
        for name, frame in {"numbers": _frame(rows, figures), **_points(figures)}.items()
        if not frame.is_empty()
    }
    html = render(
        "paper.html",
        parts=parts,
        charts=charts,
        figures=figures,
        splits=SPLITS,
        settings=[(part, _settings(part)) for part in parts],
        missing=_missing(parts),
        beside=any(part.published for part in parts),
        file=data_name(NAME, "numbers") if "numbers" in tables else "",
        **rows,
    )
    return html, tables


def _unmeasured(parts: Sequence[Part]) -> list[Published]:
    """The paper's data sets that were not run here; none beside one's own data alone, of which the paper says
    nothing."""
    if not any(part.published for part in parts):
        return []
    there = {part.published.recipe for part in parts if part.published and part.exact}
    return [entry for entry in PAPER.values() if entry.recipe not in there]


def _trained(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Table 1."""
    rows = []
    for part in parts:
        for setup in (part.setup, *part.heads):
            said = part.published.trained.get(setup.model, {}) if part.published else {}
            measured = {split: setup.accuracy(split) for split in ("train", "test")} | _before(part.run, setup)
            cells = {split: Cell(measured.get(split), said.get(split)) for split in SPLITS}
            rows.append({"title": part.title, "model": MODELS[setup.model], "cells": cells})
        if part.published and not part.heads and "linear" in part.published.trained:
            rows.append(_untrained(part.title, "linear", part.published))
    rows += [_untrained(entry.name, model, entry) for entry in _unmeasured(parts) for model in entry.trained]
    return rows


def _untrained(title: str, model: str, published: Published) -> dict[str, Any]:
    return {
        "title": title,
        "model": MODELS[model],
        "cells": {split: Cell(None, published.trained[model][split]) for split in SPLITS},
    }


def _before(run: ReportRun | None, setup: Setup) -> dict[str, Stat | None]:
    found = next((result for result in run.methods if result.setup is setup), None) if run else None
    return {split: found.split("before", split) for split in SPLITS if "_" in split} if found else {}


def _changes(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Tables 2, 9 and 10, with the controls, and the first N at which forget accuracy is zero, and at chance."""
    rows = []
    for part in parts:
        found = _latest(part.run)
        for result in found:
            firsts = {name: _first(part.run, result.method, share) for name, share in (("zero", 0.0), ("chance", None))}
            changes = {which: _relative(result, f"{which}_test") for which in ("retain", "forget")}
            picked = paper_n(part.run, result.method) if part.run and result.method in palette.MASKING else None
            rows.append(
                _change(part.title, part.published, result.method, result, changes, firsts) | {"picked": picked}
            )
        there = {result.method for result in found}
        lacking = [method for method in (part.published.changes if part.published else {}) if method not in there]
        rows += [_change(part.title, part.published, method, None, {}, {}) for method in lacking]
    return rows + [
        _change(entry.name, entry, method, None, {}, {}) for entry in _unmeasured(parts) for method in entry.changes
    ]


def _change(
    title: str,
    published: Published | None,
    method: str,
    result: MethodResult | None,
    changes: Mapping[str, Stat | None],
    firsts: Mapping[str, Stat | None],
) -> dict[str, Any]:
    said = dict(zip(("retain", "forget"), published.changes.get(method, ()), strict=False)) if published else {}
    also = dict(zip(("retain", "forget"), published.also.get(method, ()), strict=False)) if published else {}
    return {
        "title": title,
        "table": published.change_table if published else "as Table 2",
        "method": method,
        "result": result,
        "label": result.label if result else palette.look(method).name,
        "cells": {which: Cell(changes.get(which), said.get(which)) for which in ("retain", "forget")},
        "also": also,
        "first_zero": Cell(firsts.get("zero"), published.first_zero.get(method) if published else None),
        "first_chance": Cell(firsts.get("chance")),
    }


def _latest(run: ReportRun | None) -> list[MethodResult]:
    """The most recent result of every method and model."""
    kept = {(result.method, result.setup.model): result for result in (run.methods if run else [])}
    return list(kept.values())


def _relative(result: MethodResult, split: str) -> Stat | None:
    """Change of accuracy as a share of where it began: the paper's 92.61 % to 92.94 % is +0.36 %, and to nothing is
    -100 %."""
    pairs = [(found["before"].get(split), found["after"].get(split)) for found in result.results]
    return stat((after - before) / before for before, after in pairs if before and after is not None)


def _first(run: ReportRun | None, method: str, share: float | None) -> Stat | None:
    """The first N of the test sweep whose forget accuracy is at most a share (chance by default), over the seeds that
    reach it."""
    frame = run.counts.get((method, "dkvb")) if run else None
    if run is None or frame is None or method not in palette.MASKING:
        return None
    test = frame.filter(pl.col("split") == "test", pl.col("class").is_in(run.forget))
    accuracy = test.group_by("seed", "n").agg((pl.col("correct").sum() / pl.col("total").sum()).alias("forget"))
    reached = (
        accuracy.filter(pl.col("forget") <= (run.chance if share is None else share))
        .group_by("seed")
        .agg(pl.col("n").min())
    )
    return stat(float(n) for n in reached["n"])


def _runtimes(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Table 8, with what gathering counts costs, and FLOPs."""
    rows: list[dict[str, Any]] = []
    for part in parts:
        for result in _latest(part.run):
            said = part.published.seconds.get(result.method) if part.published else None
            kept = {key: result.stat(key) for key in ("seconds_counts", "seconds_evaluate", "flops", "flops_counts")}
            rows.append(
                {
                    "title": part.title,
                    "method": result.method,
                    "label": result.label,
                    "seconds": Cell(result.stat("seconds"), said),
                }
                | kept
            )
        said_of = part.published.seconds if part.published else {}
        there = {result.method for result in _latest(part.run)}
        rows += [_unrun(part.title, method, seconds) for method, seconds in said_of.items() if method not in there]
    return rows + [
        _unrun(entry.name, method, said) for entry in _unmeasured(parts) for method, said in entry.seconds.items()
    ]


def _unrun(title: str, method: str, seconds: float) -> dict[str, Any]:
    """A row of Table 8 for what was not run here."""
    row = {"title": title, "method": method, "label": palette.look(method).name, "seconds": Cell(None, seconds)}
    return row | dict.fromkeys(("seconds_counts", "seconds_evaluate", "flops", "flops_counts"))


def _attacks(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Table 3."""
    rows: list[dict[str, Any]] = []
    for part in parts:
        published = part.published.attack if part.published else {}
        for method in sorted(
            {str(artifact.result["method"]) for artifact in part.attacks} | set(published), key=palette.rank
        ):
            mine = [artifact.result for artifact in part.attacks if artifact.result["method"] == method]
            names = {(found["forget_names"][0], found["held_out_name"]) for found in mine}
            n = stat(float(found["n"]) for found in mine if found.get("n") is not None and found.get("n_name"))
            cell = Cell(stat(found["attack_test"] for found in mine), published.get(method))
            about = "; ".join(f"{f} against {h}" for f, h in sorted(names))
            rows.append({"title": part.title, "method": method, "cell": cell, "n": n, "about": about})
    for entry in _unmeasured(parts):
        rows += [
            {"title": entry.name, "method": method, "cell": Cell(None, said), "n": None, "about": ""}
            for method, said in entry.attack.items()
        ]
    return rows


def _settings(part: Part) -> list[tuple[str, dict[str, Any]]]:
    """Tables 4 to 7."""
    trained = part.setup.seeds[0]
    keys = trained.quantize.settings["keys"] if trained.quantize else {}
    found = [("Table 4: the bottleneck", {**keys, **trained.artifact.settings["train"]})]
    found += [("Table 5: the linear head", head.seeds[0].artifact.settings["linear"]) for head in part.heads[:1]]
    for result in _latest(part.run):
        if result.method == "scrub":
            kept = {
                name: value
                for name, value in result.artifacts[0].settings.items()
                if name not in ("kind", "method", "forget", "seed")
            }
            found.append(("Table 6: SCRUB", kept))
    for artifact in part.run.retraining if part.run else []:
        name = palette.look(str(artifact.result["method"])).name
        kept = {
            key: value
            for key, value in artifact.settings.items()
            if key in ("epochs", "retrain_lr", "retrain_batch_size", "clip")
        }
        if (f"Table 7: retraining after {name}", kept) not in found:
            found.append((f"Table 7: retraining after {name}", kept))
    return found


def _figures(part: Part, place: int) -> list[dict[str, Any]]:
    """The paper's figures of one part: curves (2, 3, 7, 8), misclassifications (5), retraining (4 and 6)."""
    run, entries = part.run, []
    if run is None:
        return []
    for method in palette.MASKING:
        if (method, "dkvb") in run.sweeps:
            frame = run.sweeps[method, "dkvb"]
            figure = (
                part.published.figure(method)
                if part.published
                else {"activations": "as Figure 2", "examples": "as Figure 3"}[method]
            )
            said = part.published.points.get(method, ()) if part.published else ()
            spec = paper_charts.trade(run, method, frame, said)
            title = f"{figure}: {palette.look(method).name}"
            entries.append(
                {"kind": f"curve-{method}", "title": title, "spec": spec, "rows": frame, "points": _at(frame, said)}
            )
    missed = paper_charts.missed(part.setup, run.forget)
    entry: dict[str, Any] = {
        "kind": "missed",
        "title": "Figure 5: misclassified test samples per class",
        "said": _best(part, missed[1]),
    }
    entries.append(entry | {"spec": missed[0], "rows": missed[1]})
    rows = retraining_page.table(run)
    for name, spec in retraining_page.charts(run).items():
        what = "classes that stay" if name.endswith("retain") else "the forgotten class"
        entries.append({"kind": name, "title": f"Figures 4 and 6: training on, {what}", "spec": spec, "rows": rows})
    blank = {"points": [], "said": ""}
    return [blank | entry | {"id": f"p{place}-{entry['kind']}", "part": part} for entry in entries if entry["spec"]]


def _at(frame: pl.DataFrame, said: Iterable[tuple[int, float, float]]) -> list[dict[str, Any]]:
    """The points that the paper's text spells out, beside what was measured at the same N."""
    rows = []
    for n, forget, retain in said:
        same = frame.filter(pl.col("split") == "test", pl.col("n") == n).to_dicts()
        found = {which: _stat_of(same[0], which) if same else None for which in ("forget", "retain")}
        rows.append({"n": n, "forget": Cell(found["forget"], forget), "retain": Cell(found["retain"], retain)})
    return rows


def _stat_of(row: Mapping[str, Any], which: str) -> Stat | None:
    return Stat(row[which], row.get(f"{which}_sd"), row["seeds"]) if row.get(which) is not None else None


def _best(part: Part, missed: pl.DataFrame) -> str:
    """Which class is misclassified least, here and in the paper (Appendix A)."""
    if missed.is_empty():
        return ""
    best = missed.sort("missed", "class").row(0, named=True)
    paper = f" In the paper: class {part.published.best}." if part.published and part.published.best is not None else ""
    return f"Misclassified least here: {best['name']} ({words.count(round(best['missed'], 1))}).{paper}"


def _points(figures: Iterable[dict[str, Any]]) -> dict[str, pl.DataFrame]:
    return {str(entry["id"]): entry["rows"] for entry in figures}


def _missing(parts: Sequence[Part]) -> list[words.Missing]:
    """What of the paper has not been measured here, and the command that would."""
    gaps = [
        words.Missing(f"{entry.name}: not run here.", f"dkvb reproduce --only {entry.recipe}")
        for entry in _unmeasured(parts)
    ]
    for part in parts:
        if part.run is None:
            gaps.append(words.Missing(f"{part.title}: nothing unlearned yet.", "dkvb unlearn --sweep"))
        else:
            if not part.run.retraining:
                gaps.append(
                    words.Missing(
                        f"{part.title}: Figures 4 and 6, training on after unlearning.", "dkvb unlearn --retrain 10"
                    )
                )
            for method in part.published.changes if part.published else ("activations", "examples", "scrub"):
                if method not in {result.method for result in part.run.methods}:
                    gaps.append(
                        words.Missing(f"{part.title}: {palette.look(method).name}.", f"dkvb unlearn --method {method}")
                    )
                elif method in palette.MASKING and (method, "dkvb") not in part.run.sweeps:
                    gaps.append(
                        words.Missing(
                            f"{part.title}: the curve of {palette.look(method).name}.",
                            f"dkvb unlearn --sweep --method {method}",
                        )
                    )
            if not part.attacks:
                gaps.append(words.Missing(f"{part.title}: Table 3, membership inference.", "dkvb membership"))
    return gaps


def _frame(rows: dict[str, list[dict[str, Any]]], figures: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """All numbers of the page, one a row."""
    out: list[dict[str, Any]] = []

    def add(table: str, title: str, what: str, measure: str, cell: Cell) -> None:
        found = cell.measured
        if found is None and cell.published is None:
            return
        spread = (
            {"seeds": found.count, "sd": found.sd, "ci95": found.ci95}
            if found
            else {"seeds": 0, "sd": None, "ci95": None}
        )
        row = {"table": table, "data": title, "what": what, "measure": measure, "measured": found and found.mean}
        out.append(row | spread | {"published": cell.published, "difference": cell.difference})

    for row in rows["trained"]:
        for split, cell in row["cells"].items():
            add("Table 1", row["title"], row["model"], split, cell)
    for row in rows["changes"]:
        for name, cell in row["cells"].items():
            add(row["table"], row["title"], row["label"], f"{name} change", cell)
        for name in ("first_zero", "first_chance"):
            add("Appendix C", row["title"], row["label"], name.replace("_", " N at "), row[name])
    for row in rows["runtimes"]:
        add("Table 8", row["title"], row["label"], "seconds", row["seconds"])
    for row in rows["attacks"]:
        add("Table 3", row["title"], palette.look(row["method"]).name, "attacker's accuracy", row["cell"])
    for figure in figures:
        for point in figure["points"]:
            for which in ("forget", "retain"):
                add(
                    figure["title"].split(":")[0],
                    figure["part"].title,
                    figure["title"],
                    f"{which} at N = {point['n']}",
                    point[which],
                )
    return pl.DataFrame(out, infer_schema_length=None)
