"""The paper's tables and figures, measured beside published: what was run in this workspace, whatever the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from dkvb.pages import palette, paper_charts, words
from dkvb.pages import retraining as retraining_page
from dkvb.pages.dial import paper_n
from dkvb.pages.page import Page, data_name, render
from dkvb.pages.records import Collected, MethodResult, Run, Setup, Stat, stat
from dkvb.published import EPOCHS, PAPER, SPLITS, Published
from dkvb.workspace import Artifact, Workspace

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


@dataclass
class Part:
    """Everything about one bottleneck configuration on one data set, and one forget set."""

    setup: Setup
    run: Run | None
    heads: list[Setup]
    published: Published | None
    attacks: list[Artifact] = field(default_factory=list)

    @property
    def title(self) -> str:
        return self.published.name if self.published else f"{self.setup.data} · {self.setup.encoder}"

    @property
    def differs(self) -> str:
        """What sets this run apart from the paper's."""
        if self.published is None:
            return "Not one of the paper's data sets: its own numbers, in the paper's tables."
        settings = self.setup.seeds[0].artifact.settings["train"]
        told = []
        wanted = EPOCHS.get(self.published.recipe)
        if wanted and settings["epochs"] != wanted:
            told.append(f"{settings['epochs']} training epochs instead of {wanted}")
        if self.setup.seeds[0].artifact.settings.get("validation") or (self.run and _chosen(self.run) == {"validation"}):
            told.append("N chosen on validation data instead of the test curve")
        if len(self.setup.seeds) < 5:
            told.append(f"{words.plural(len(self.setup.seeds), 'seed', 'seeds')} instead of 5")
        weights = (self.setup.embed.settings.get("encoder") or {}).get("weights")
        if weights == "random":
            told.append("random encoder weights")
        return "Differs from the paper in: " + "; ".join(told) + "." if told else "The paper's data, encoder and epochs."


def _chosen(run: Run) -> set[str]:
    return {str(result["chosen"]) for found in run.methods if found.method in palette.MASKING for result in found.results}


def pages(found: Collected, workspace: Workspace) -> list[Page]:
    """One page, of everything that has been trained."""
    parts = _parts(found, workspace)
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


def _parts(found: Collected, workspace: Workspace) -> list[Part]:
    """A part per bottleneck, with the forget set that most has been done on."""
    parts = []
    attacks = [artifact for artifact in workspace.all("unlearn") if artifact.settings.get("kind") == "membership"]
    for setup in found.setups:
        if setup.model != "dkvb":
            continue
        runs = [run for run in found.runs if run.setup is setup]
        run = max(runs, key=lambda run: (len(run.methods) + len(run.retraining), run.made), default=None)
        heads = [head for head in found.setups if head.model == "linear" and head.embed.fingerprint == setup.embed.fingerprint]
        source, encoder = setup.embed.settings["data"]["source"], setup.embed.result["encoder"]
        mine = [artifact for artifact in attacks if artifact.manifest["inputs"].get("embed") == setup.embed.fingerprint]
        parts.append(Part(setup, run, heads, PAPER.get((source, str(encoder))), mine))
    order = list(PAPER.values())
    return sorted(parts, key=lambda part: (order.index(part.published) if part.published else len(order), part.title))


def page(parts: Sequence[Part]) -> tuple[str, dict[str, pl.DataFrame]]:
    """HTML, and what every table says as one table."""
    charts: dict[str, Any] = {}
    figures: list[dict[str, Any]] = []
    for place, part in enumerate(parts):
        drawn = _figures(part, place)
        charts |= {entry["id"]: entry["spec"] for entry in drawn}
        figures += drawn
    rows = {"trained": _trained(parts), "changes": _changes(parts), "runtimes": _runtimes(parts), "attacks": _attacks(parts)}
    tables = {name: frame for name, frame in {"numbers": _frame(rows), **_points(figures)}.items() if not frame.is_empty()}
    html = render(
        "paper.html",
        parts=parts,
        charts=charts,
        figures=figures,
        splits=SPLITS,
        settings=[(part, _settings(part)) for part in parts],
        missing=_missing(parts),
        file=data_name(NAME, "numbers") if "numbers" in tables else "",
        **rows,
    )
    return html, tables


def _trained(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Table 1."""
    rows = []
    for part in parts:
        for setup in (part.setup, *part.heads):
            said = part.published.trained.get(setup.model, {}) if part.published else {}
            measured = {split: setup.accuracy(split) for split in ("train", "test")} | _before(part.run, setup)
            cells = {split: Cell(measured.get(split), said.get(split)) for split in SPLITS}
            rows.append({"part": part, "model": MODELS[setup.model], "cells": cells})
    return rows


def _before(run: Run | None, setup: Setup) -> dict[str, Stat | None]:
    found = next((result for result in run.methods if result.setup is setup), None) if run else None
    return {split: found.split("before", split) for split in SPLITS if "_" in split} if found else {}


def _changes(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Tables 2, 9 and 10, with the controls, and the first N at which forget accuracy is zero, and at chance."""
    rows = []
    for part in parts:
        for result in _latest(part.run):
            said = part.published.changes.get(result.method) if part.published else None
            zero = part.published.first_zero.get(result.method) if part.published else None
            firsts = {level: _first(part.run, result.method, share) for level, share in (("zero", 0.0), ("chance", None))}
            rows.append(
                {
                    "part": part,
                    "table": part.published.change_table if part.published else "as Table 2",
                    "result": result,
                    "cells": {
                        "retain": Cell(result.change("retain_test"), said[0] if said else None),
                        "forget": Cell(_relative(result), said[1] if said else None),
                    },
                    "first_zero": Cell(firsts["zero"], zero),
                    "first_chance": Cell(firsts["chance"]),
                    "picked": paper_n(part.run, result.method) if part.run and result.method in palette.MASKING else None,
                }
            )
    return rows


def _latest(run: Run | None) -> list[MethodResult]:
    """The most recent result of every method and model."""
    kept = {(result.method, result.setup.model): result for result in (run.methods if run else [])}
    return list(kept.values())


def _relative(result: MethodResult) -> Stat | None:
    """Change of forget accuracy relative to where it began, as the paper's -100 %."""
    pairs = [(found["before"].get("forget_test"), found["after"].get("forget_test")) for found in result.results]
    return stat((after - before) / before for before, after in pairs if before and after is not None)


def _first(run: Run | None, method: str, share: float | None) -> Stat | None:
    """The first N of the test sweep whose forget accuracy is at most a share (chance by default), over the seeds that reach it."""
    frame = run.counts.get((method, "dkvb")) if run else None
    if run is None or frame is None or method not in palette.MASKING:
        return None
    test = frame.filter(pl.col("split") == "test", pl.col("class").is_in(run.forget))
    accuracy = test.group_by("seed", "n").agg((pl.col("correct").sum() / pl.col("total").sum()).alias("forget"))
    reached = accuracy.filter(pl.col("forget") <= (run.chance if share is None else share)).group_by("seed").agg(pl.col("n").min())
    return stat(float(n) for n in reached["n"])


def _runtimes(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Table 8, with what gathering counts costs, and FLOPs."""
    return [
        {
            "part": part,
            "result": result,
            "seconds": Cell(result.stat("seconds"), part.published.seconds.get(result.method) if part.published else None),
            "counts": result.stat("seconds_counts"),
            "evaluate": result.stat("seconds_evaluate"),
            "flops": result.stat("flops"),
            "flops_counts": result.stat("flops_counts"),
        }
        for part in parts
        for result in _latest(part.run)
    ]


def _attacks(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Table 3."""
    rows = []
    for part in parts:
        for method in sorted({str(artifact.result["method"]) for artifact in part.attacks}, key=palette.rank):
            mine = [artifact.result for artifact in part.attacks if artifact.result["method"] == method]
            said = part.published.attack.get(method) if part.published else None
            names = {(found["forget_names"][0], found["held_out_name"]) for found in mine}
            n = stat(float(found["n"]) for found in mine if found.get("n") is not None and found.get("n_name"))
            cell = Cell(stat(found["attack_test"] for found in mine), said)
            rows.append(
                {"part": part, "method": method, "cell": cell, "n": n, "about": "; ".join(f"{f} against {h}" for f, h in sorted(names))}
            )
    return rows


def _settings(part: Part) -> list[tuple[str, dict[str, Any]]]:
    """Tables 4 to 7."""
    trained = part.setup.seeds[0]
    keys = trained.quantize.settings["keys"] if trained.quantize else {}
    found = [("Table 4: the bottleneck", {**keys, **trained.artifact.settings["train"]})]
    found += [("Table 5: the linear head", head.seeds[0].artifact.settings["linear"]) for head in part.heads[:1]]
    for result in _latest(part.run):
        if result.method == "scrub":
            kept = {name: value for name, value in result.artifacts[0].settings.items() if name not in ("kind", "method", "forget", "seed")}
            found.append(("Table 6: SCRUB", kept))
    for artifact in part.run.retraining if part.run else []:
        name = palette.look(str(artifact.result["method"])).name
        kept = {key: value for key, value in artifact.settings.items() if key in ("epochs", "retrain_lr", "retrain_batch_size", "clip")}
        if (f"Table 7: retraining after {name}", kept) not in found:
            found.append((f"Table 7: retraining after {name}", kept))
    return found


def _figures(part: Part, place: int) -> list[dict[str, Any]]:
    """The paper's figures of one part: curves (2, 3, 7, 8), misclassifications (5), retraining (4 and 6)."""
    run, entries = part.run, []
    if run is None:
        return []
    named = part.published.curves if part.published else "as Figures 2 and 3"
    for method in palette.MASKING:
        if (method, "dkvb") in run.sweeps:
            frame = run.sweeps[method, "dkvb"]
            title = f"{named}: {palette.look(method).name}"
            entries.append({"kind": f"curve-{method}", "title": title, "spec": paper_charts.trade(run, method, frame), "rows": frame})
    missed = paper_charts.missed(part.setup, run.forget)
    entries.append({"kind": "missed", "title": "Figure 5: misclassified test samples per class", "spec": missed[0], "rows": missed[1]})
    rows = retraining_page.table(run)
    for name, spec in retraining_page.charts(run).items():
        what = "classes that stay" if name.endswith("retain") else "the forgotten class"
        entries.append({"kind": name, "title": f"Figures 4 and 6: training on, {what}", "spec": spec, "rows": rows})
    return [entry | {"id": f"p{place}-{entry['kind']}", "part": part} for entry in entries if entry["spec"]]


def _points(figures: Iterable[dict[str, Any]]) -> dict[str, pl.DataFrame]:
    return {str(entry["id"]): entry["rows"] for entry in figures}


def _missing(parts: Sequence[Part]) -> list[words.Missing]:
    """What of the paper has not been measured here, and the command that would."""
    there = {part.published.recipe for part in parts if part.published}
    gaps = [
        words.Missing(f"{entry.name}: not run here.", f"dkvb reproduce --only {entry.recipe}")
        for entry in PAPER.values()
        if entry.recipe not in there
    ]
    for part in parts:
        if part.run is None:
            gaps.append(words.Missing(f"{part.title}: nothing unlearned yet.", "dkvb unlearn --sweep"))
        else:
            if not part.run.retraining:
                gaps.append(words.Missing(f"{part.title}: Figures 4 and 6, training on after unlearning.", "dkvb unlearn --retrain 10"))
            if not part.attacks:
                gaps.append(words.Missing(f"{part.title}: Table 3, membership inference.", "dkvb membership"))
    return gaps


def _frame(rows: dict[str, list[dict[str, Any]]]) -> pl.DataFrame:
    """All numbers of the page, one a row."""
    out: list[dict[str, Any]] = []

    def add(table: str, part: Part, what: str, measure: str, cell: Cell) -> None:
        found = cell.measured
        spread = {"seeds": found.count, "sd": found.sd, "ci95": found.ci95} if found else {"seeds": 0, "sd": None, "ci95": None}
        row = {"table": table, "data": part.title, "what": what, "measure": measure, "measured": found and found.mean}
        out.append(row | spread | {"published": cell.published, "difference": cell.difference})

    for row in rows["trained"]:
        for split, cell in row["cells"].items():
            add("Table 1", row["part"], row["model"], split, cell)
    for row in rows["changes"]:
        for name, cell in row["cells"].items():
            add(row["table"], row["part"], row["result"].label, f"{name} change", cell)
        for name in ("first_zero", "first_chance"):
            add("Appendix C", row["part"], row["result"].label, name.replace("_", " N at "), row[name])
    for row in rows["runtimes"]:
        add("Table 8", row["part"], row["result"].label, "seconds", row["seconds"])
    for row in rows["attacks"]:
        add("Table 3", row["part"], palette.look(row["method"]).name, "attacker's accuracy", row["cell"])
    return pl.DataFrame(out, infer_schema_length=None)
