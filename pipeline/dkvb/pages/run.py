"""The page of one run: what a template needs, computed from its records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from dkvb.metrics.intervals import Stat, stat
from dkvb.pages import dial, retraining
from dkvb.pages.charts import palette
from dkvb.pages.charts import run as run_charts
from dkvb.pages.facts import words
from dkvb.pages.facts.records import SPLITS, Collected, MethodResult, ReportRun, Setup, flatten, without
from dkvb.pages.page import Page, data_name, render
from dkvb.workspace.artifacts import Artifact
from dkvb.workspace.files import canonical_hash

CHOSEN = {"given": "given beforehand", "validation": "chosen on validation data", "test": "read off the test curve"}


CURVES = {
    "activations": ("pairs to mask, most used first", "pairs masked, those the class uses most first"),
    "examples": ("samples whose pairs are masked", "samples of the forgotten class whose pairs are masked"),
}


def pages(found: Collected) -> list[Page]:
    """A page per run."""

    def one(run: ReportRun) -> Page:
        heads = [
            setup
            for setup in found.setups
            if setup.model == "linear" and setup.embed.fingerprint == run.setup.embed.fingerprint
        ]
        inputs = [canonical_hash(artifact.manifest) for artifact in [*_used(run, heads), *run.swept]]
        about = f"{run.setup.data} · {run.setup.encoder} · {run.setup.shape}"
        compared = any(other.methods for other in found.runs if other.setup is run.setup)
        links = [("index.html", "All reports"), *([(run.setup.compare, "Methods compared")] if compared else [])]
        links.append((run.setup.inside, "Inside the bottleneck"))
        return Page(
            run.page, f"Forget {words.forgotten(run)}", about, [inputs, links], lambda: page(run, heads, links), "run"
        )

    return [one(run) for run in found.runs]


def page(
    run: ReportRun, heads: list[Setup], links: Sequence[tuple[str, str]] = ()
) -> tuple[str, dict[str, pl.DataFrame]]:
    """The page's HTML, and the charts' data to lay beside it. `heads`: linear heads on the same embedding."""
    makers = {
        "curve": curve_table,
        "counts": count_table,
        "classes": class_table,
        "methods": method_table,
        "retraining": retraining.table,
    }
    tables = {name: frame for name, maker in makers.items() if not (frame := maker(run)).is_empty()}
    found = dial.dials(run)
    starts = {one.method: one.start for one in found}
    lead = run.lead
    before, after = (lead.per_class("before"), lead.per_class("after")) if lead else ([], [])
    specs: dict[str, Any] = {
        f"curve-{method}": run_charts.curve(run, method, run.sweeps[method, "dkvb"], short, starts.get(method, 0))
        for method, (short, _) in CURVES.items()
        if (method, "dkvb") in run.sweeps
    }
    specs |= dial.charts(run, found)
    specs |= {"scatter": run_charts.scatter(run), "classes": run_charts.classes(run, before, after)}
    specs |= retraining.charts(run)
    html = render(
        "run.html",
        run=run,
        lead=lead,
        verdict=words.verdict(run, lead) if lead else [],
        missing=words.missing(run, len(heads)),
        charts={name: spec for name, spec in specs.items() if spec},
        curves={
            method: (run.sweeps[method, "dkvb"], long)
            for method, (_, long) in CURVES.items()
            if (method, "dkvb") in run.sweeps
        },
        class_rows=_class_rows(run),
        methods=[_method_row(run, result) for result in run.methods],
        drawn=len(run_charts.shown(run, before, after)),
        dial=[asdict(one) for one in found],
        retrained=retraining.means(run),
        costs=any(one.get("flops") is not None for result in run.methods for one in result.results),
        links=links,
        settings=_settings(run, heads),
        artifacts=_artifacts(run, heads),
        versions=_versions(run, heads),
        tables={name: data_name(run.page, name) for name in tables},
        others=words.others(run),
        forgotten=words.forgotten(run),
    )
    return html, tables


def _method_row(run: ReportRun, result: MethodResult) -> dict[str, Any]:
    first = result.results[0]
    masked, total = result.stat("masked"), first.get("pairs_total")
    notes = sorted({found["note"] for found in result.results if found.get("note")})
    return {
        "result": result,
        "look": palette.look(result.method),
        "model": "linear head" if result.setup.model == "linear" else "DKVB",
        "n_name": first.get("n_name") or "",
        "n": result.stat("n") if first.get("n_name") else None,
        "paper_n": (
            dial.paper_n(run, result.method)
            if (result.method, result.setup.model) in run.counts and first.get("n_name")
            else None
        ),
        "masked": masked,
        "share": masked.mean / total if masked and total else None,
        "chosen": CHOSEN.get(str(first.get("chosen")), first.get("chosen")) if first.get("n_name") else "",
        "notes": notes,
        "not_in_paper": first.get("not_in_paper") or [],
        "seeds": len(result.artifacts),
    }


def _class_rows(run: ReportRun) -> list[tuple[int, str, list[Stat | None]]]:
    """Per class: test accuracy before, and after each method, of the models in turn."""
    columns: list[list[Stat | None]] = []
    for result in run.methods:
        columns += [result.per_class("before"), result.per_class("after")]
    return [(index, name, [column[index] for column in columns]) for index, name in enumerate(run.setup.classes)]


def curve_table(run: ReportRun) -> pl.DataFrame:
    frames = [
        frame.select(pl.lit(method).alias("method"), pl.lit(model).alias("model"), pl.all())
        for (method, model), frame in run.sweeps.items()
    ]
    return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()


def count_table(run: ReportRun) -> pl.DataFrame:
    """Correct answers per seed, n, split and class, of every sweep."""
    frames = [
        frame.select(pl.lit(method).alias("method"), pl.lit(model).alias("model"), pl.all())
        for (method, model), frame in run.counts.items()
    ]
    return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()


def class_table(run: ReportRun) -> pl.DataFrame:
    rows = []
    for result in run.methods:
        before, after = result.per_class("before"), result.per_class("after")
        for index, name in enumerate(run.setup.classes):
            row: dict[str, Any] = {"method": result.label, "model": result.setup.model, "class": index, "name": name}
            row["forget"] = index in run.forget
            for when, found in (("before", before[index]), ("after", after[index])):
                row |= {
                    when: found and found.mean,
                    f"{when}_sd": found and found.sd,
                    f"{when}_ci95": found and found.ci95,
                }
            rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def method_table(run: ReportRun) -> pl.DataFrame:
    """One row per result, with every split before and after."""
    rows = []
    for result in run.methods:
        for found in result.results:
            row: dict[str, Any] = {"method": result.label, "model": result.setup.model}
            row |= {
                key: found.get(key)
                for key in ("seed", "n", "masked", "seconds", "seconds_counts", "flops", "flops_counts")
            }
            rows.append(
                row | {f"{when}_{split}": found[when].get(split) for split in SPLITS for when in ("before", "after")}
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def _settings(run: ReportRun, heads: list[Setup]) -> list[tuple[str, list[tuple[str, Any, bool]]]]:
    """Groups of (setting, value, whether the paper leaves it open)."""

    def group(settings: dict[str, Any], open_: list[str] | None = None) -> list[tuple[str, Any, bool]]:
        known = {key: value for key, value in flatten(settings).items() if value is not None}
        return [(key, _plain(key, value), key.split(".")[-1] in (open_ or [])) for key, value in known.items()]

    first = run.setup.seeds[0]
    sizes = {key: run.setup.embed.result[key] for key in ("train", "test", "dim")}
    groups = [("Data and encoder", group(run.setup.embed.settings | sizes))]
    if first.quantize:
        groups.append(("Keys", group(without(first.quantize.settings, "seed"))))
        found = [trained.quantize.result for trained in run.setup.seeds if trained.quantize]
        measured = {
            key: stat(result.get(key) for result in found) for key in ("used", "unique", "dead", "quantisation_error")
        }
        rows = [(key.replace("_", " "), f"{value.mean:.3f}", False) for key, value in measured.items() if value]
        groups.append(("Keys, as measured", rows))
    groups.append(("Training the bottleneck", group(without(first.artifact.settings, "seed"))))
    groups += [("Training the linear head", group(without(head.seeds[0].artifact.settings, "seed"))) for head in heads]
    for result in run.methods:
        chosen = without(result.artifacts[0].settings, "kind", "seed", "forget", "method")
        groups.append((result.label, group(chosen, result.results[0].get("not_in_paper"))))
    return groups


def _plain(key: str, value: Any) -> str:
    """A value as shown; of a path only its last part, since where a file lay is nobody's business."""
    if key.endswith(("path", "weights", "proxy")) and isinstance(value, str):
        return Path(value).name
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (
        f"{value:,}"
        if isinstance(value, int)
        else ", ".join(map(str, value))
        if isinstance(value, list)
        else str(value)
    )


def _used(run: ReportRun, heads: list[Setup]) -> list[Artifact]:
    found = [run.setup.embed]
    for setup in (run.setup, *heads):
        found += [artifact for trained in setup.seeds for artifact in (trained.quantize, trained.artifact) if artifact]
    return found + [artifact for result in run.methods for artifact in result.artifacts] + run.retraining


def _artifacts(run: ReportRun, heads: list[Setup]) -> list[Artifact]:
    return sorted(_used(run, heads), key=lambda artifact: artifact.manifest["created"])


def _versions(run: ReportRun, heads: list[Setup]) -> dict[str, list[str]]:
    """Every version of every library, and every machine, that had a part in this page."""
    seen: dict[str, set[str]] = {}
    for artifact in _used(run, heads):
        for name, number in artifact.manifest["versions"].items():
            seen.setdefault(name, set()).add(number)
        seen.setdefault("made on", set()).add(artifact.manifest["host"])
    return {name: sorted(found) for name, found in seen.items()}
