"""Stage 5: every finished artifact of the workspace as HTML pages that need no network."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import polars as pl

from dkvb import progress
from dkvb.errors import MissingStage
from dkvb.files import atomic, write_json, write_text
from dkvb.pages import index
from dkvb.pages import run as run_page
from dkvb.pages.collect import collect
from dkvb.pages.records import Collected, Run, Setup
from dkvb.recipe import Recipe
from dkvb.workspace import Workspace

LISTING = "data/pages.json"
"""Names of the files of the last report, so that the next one can remove those it no longer writes."""


def run(recipe: Recipe, workspace: Workspace) -> list[dict[str, Any]]:
    """Write `index.html` and a page per run into `workspace.reports`.

    Returns:
        One entry: `index`, the path of the index; `pages`, those of the runs' pages; `seconds`.

    Raises:
        MissingStage: no model has been trained yet.
        DamagedArtifact: a manifest cannot be read.
    """
    started = time.perf_counter()
    found = collect(workspace)
    if not found.setups:
        raise MissingStage(f"There is no trained model in {workspace.root}: run `dkvb train` first, or `dkvb run` for all stages.")
    folder = workspace.reports
    before = _listed(folder)
    # listed before they are written, so that a report that is killed leaves nothing that a later one would not know
    write_json(folder / LISTING, sorted(before | {name for one in found.runs for name in _names(one)}))
    written: list[str] = []
    pages: list[str] = []
    with progress.task("report", len(found.runs) + 1, "pages") as task:
        for found_run in found.runs:
            written += _write(folder, found_run, _heads(found, found_run))
            pages.append(str(folder / f"{found_run.slug}.html"))
            task.advance()
        # the index comes last, so that it never links to a page that is not there yet
        write_text(folder / "index.html", index.page(found, recipe.name))
        task.advance()
    _remove(folder, before - set(written))
    write_json(folder / LISTING, sorted(written))
    return [{"index": str(folder / "index.html"), "pages": pages, "seconds": round(time.perf_counter() - started, 3)}]


def _heads(found: Collected, one: Run) -> list[Setup]:
    return [setup for setup in found.setups if setup.model == "linear" and setup.embed.fingerprint == one.setup.embed.fingerprint]


def _names(one: Run) -> list[str]:
    return [*(run_page.data_name(one, table) for table in run_page.TABLES), f"{one.slug}.html"]


def _write(folder: Path, one: Run, heads: list[Setup]) -> list[str]:
    """A run's data, then its page; their names, relative to the reports' folder."""
    html, tables = run_page.page(one, heads)
    names = [run_page.data_name(one, table) for table in tables]
    for name, frame in zip(names, tables.values(), strict=True):
        _write_parquet(folder / name, frame)
    write_text(folder / f"{one.slug}.html", html)
    return [*names, f"{one.slug}.html"]


def _write_parquet(path: Path, frame: pl.DataFrame) -> None:
    with atomic(path) as temporary:
        frame.write_parquet(temporary)


def _listed(folder: Path) -> set[str]:
    """What the last report wrote; a listing that cannot be read removes nothing."""
    try:
        names = json.loads((folder / LISTING).read_text(encoding="utf-8"))
        return {name for name in names if isinstance(name, str)}
    except (OSError, ValueError, TypeError):
        return set()


def _remove(folder: Path, names: set[str]) -> None:
    for name in names:
        path = folder / name
        # only what a report can have written: pages in the folder itself, parquet in its data folder
        if path.parent in (folder, folder / "data") and path.suffix in (".html", ".parquet") and path.name != "index.html":
            path.unlink(missing_ok=True)
