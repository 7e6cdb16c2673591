"""The page of one run: what a template needs, computed from its facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dkvb.metrics.intervals import Stat
from dkvb.pages.charts import classes as classes_chart
from dkvb.pages.charts import curve as curve_chart
from dkvb.pages.charts import dial as dial_charts
from dkvb.pages.charts import palette, train_beside_test
from dkvb.pages.charts import retraining as retraining_charts
from dkvb.pages.charts import scatter as scatter_chart
from dkvb.pages.facts import methods, provenance
from dkvb.pages.facts.dials import CHOSEN_ON, Dial, chosen_on, dials, paper_n
from dkvb.pages.facts.gaps import missing
from dkvb.pages.facts.retraining import epoch_means
from dkvb.pages.facts.run_tables import measures, run_tables
from dkvb.pages.facts.runs import Collected, MethodResult, ReportRun
from dkvb.pages.facts.setups import Setup
from dkvb.pages.facts.shown import album_of, run_pictures
from dkvb.pages.facts.sweeps import Swept
from dkvb.pages.facts.verdict import verdict
from dkvb.pages.facts.words import forgotten, others
from dkvb.pages.page import INDEX, Content, Page, data_name, render
from dkvb.pages.sample_charts import SampleCharts, sample_charts
from dkvb.pages.sample_charts import inputs as inputs_of_samples
from dkvb.pictures.album import Album
from dkvb.workspace.files import canonical_hash

COUNTED = {
    "N_v": ("pairs to mask, strongest vote first", "pairs masked, those that vote most for the class first"),
    "N_a": ("pairs to mask, most used first", "pairs masked, those the class uses most first"),
    "N_e": ("samples whose pairs are masked", "samples of the forgotten class whose pairs are masked"),
}
"""What N counts: on a curve's axis, and in a sentence."""


@dataclass(frozen=True)
class Curve:
    """A masking method's sweep on the page."""

    sweep: Swept
    axis: str
    told: str

    @property
    def method(self) -> str:
        return self.sweep.method


@dataclass(frozen=True)
class MethodRow:
    """A row of the table of all methods."""

    result: MethodResult
    look: palette.Look
    model: str
    n_name: str
    n: Stat | None
    chosen: str
    """How the n was chosen; n, its name and this only where there is something to choose."""
    paper_n: Stat | None
    """The n that the paper's way would take."""
    share: float | None
    """Share of all pairs that is masked."""
    notes: list[str]


def pages(collected: Collected, umap: bool = False) -> list[Page]:
    """A page per run.

    Args:
        umap: whether its map of features is laid out by UMAP as well.
    """
    return [_page(collected, run, umap) for run in collected.runs]


def _page(collected: Collected, run: ReportRun, umap: bool) -> Page:
    heads = collected.heads(run.setup)
    used = [*provenance.artifacts(run, heads), *(made.artifact for made in run.swept)]
    compared = any(other.methods for other in collected.runs if other.setup is run.setup)
    links = [
        INDEX,
        *([(run.setup.compare, "Methods compared")] if compared else []),
        (run.setup.inside, "Inside the bottleneck"),
    ]
    album = album_of(collected, run)
    shown = album.state(run.setup.embed) if album else None
    inputs = [
        [canonical_hash(artifact.manifest) for artifact in used],
        *(links, shown, inputs_of_samples(run), umap),
    ]
    about = f"{run.setup.data} · {run.setup.encoder} · {run.setup.shape}"
    return Page(
        run.page,
        f"Forget {forgotten(run)}",
        about,
        inputs,
        lambda: content(run, heads, links, sample_charts(run, umap), album),
        "run",
        samples=run.setup.embed.fingerprint,
    )


def content(
    run: ReportRun,
    heads: Sequence[Setup],
    links: Sequence[tuple[str, str]],
    shown: SampleCharts,
    album: Album | None = None,
) -> Content:
    """The page's HTML, and the charts' data to lay beside it.

    Args:
        heads: linear heads on the same embedding.
        shown: the charts of single samples.
        album: their pictures.
    """
    tables, lead, used = run_tables(run) | shown.tables, run.lead, provenance.artifacts(run, heads)
    drawn_dials = dials(run)
    curves = _curves(run)
    specs: dict[str, Any] = {
        f"curve-{one.method}": curve_chart.curve(run, one.sweep, one.axis, _start(drawn_dials, one.method))
        for one in curves
    }
    specs |= dial_charts.charts(run, drawn_dials)
    specs |= {"scatter": scatter_chart.scatter(run), "classes": classes_chart.classes(run, lead) if lead else None}
    specs |= retraining_charts.charts(run) | train_beside_test.charts(run) | shown.charts
    html = render(
        "run.html",
        run=run,
        lead=lead,
        verdict=verdict(run, lead) if lead else [],
        missing=missing(run, len(heads)),
        charts={name: spec for name, spec in specs.items() if spec},
        curves=curves,
        p=shown,
        classes=_class_rows(run),
        methods=[_method_row(run, result) for result in run.methods],
        measures=measures(run),
        measured_by=methods.MEASURES,
        drawn=len(classes_chart.shown_classes(run, lead.per_class("before"), lead.per_class("after"))) if lead else 0,
        dial=[asdict(one) for one in drawn_dials],
        retrained=epoch_means(run),
        costs=any(one.flops is not None for result in run.methods for one in result.results),
        links=links,
        settings=provenance.settings(run, heads),
        artifacts=used,
        versions=provenance.versions(used),
        tables={name: data_name(run.page, name) for name in tables},
        others=others(run),
        forgotten=forgotten(run),
        pictures=run_pictures(run, album),
    )
    return Content(html, tables)


def _start(drawn: Sequence[Dial], method: str) -> int:
    """The N at which the slider stands at first."""
    return next((dial.start for dial in drawn if dial.method == method), 0)


def _curves(run: ReportRun) -> list[Curve]:
    """The sweeps of masking methods on the bottleneck."""
    return [
        Curve(sweep, *COUNTED.get(sweep.symbol, (sweep.symbol, sweep.symbol))) for sweep in run.masking_sweeps.values()
    ]


def _method_row(run: ReportRun, result: MethodResult) -> MethodRow:
    first = result.first
    dialled, swept = bool(first.n_name), (result.method, result.setup.model) in run.sweeps
    masked = result.stat("masked")
    return MethodRow(
        result,
        palette.look(result.method),
        result.setup.model_name,
        n_name=first.n_name,
        n=result.stat("n") if dialled else None,
        chosen=CHOSEN_ON.get(chosen_on(first), "given beforehand") if dialled else "",
        paper_n=paper_n(run, result.method) if dialled and swept else None,
        share=masked.mean / first.pairs_total if masked and first.pairs_total else None,
        notes=sorted({note for one in result.results for note in (run.no_baseline(one), one.note) if note}),
    )


def _class_rows(run: ReportRun) -> list[tuple[int, str, list[Stat | None]]]:
    """Per class: its id, its name, and test accuracy before and after each method in turn."""
    columns: list[list[Stat | None]] = []
    for result in run.methods:
        columns += [result.per_class("before"), result.per_class("after")]
    return [(index, name, [column[index] for column in columns]) for index, name in enumerate(run.setup.classes)]
