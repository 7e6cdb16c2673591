"""Stage 5: every finished artifact of the workspace as HTML pages that need no network.

A page whose inputs have not changed since it was written is left alone, where it and all beside it still have the
hashes that they were written with; what a page depends on is its `inputs` and this package's version.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from dkvb.errors import MissingStage
from dkvb.pages import audit, bottleneck, compare, index, paper, requests, written
from dkvb.pages import run as run_page
from dkvb.pages.facts.collect import collect
from dkvb.pages.facts.feature_map import need_umap
from dkvb.pages.facts.runs import Collected
from dkvb.pages.library import library_being_written, library_name, remove_unfinished, written_alone
from dkvb.pages.page import VERDICT, Content, Page, data_name, sources
from dkvb.pages.redacting import redact
from dkvb.pictures.album import Album
from dkvb.recipe import Recipe
from dkvb.records.report import ReportResult
from dkvb.runtime import progress
from dkvb.runtime.beside import Begin
from dkvb.sources.base import FeatureSource, ImageSource
from dkvb.version import __version__
from dkvb.workspace import locks, request_table
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.beside_purge import reading
from dkvb.workspace.files import atomic, canonical_hash, write_json, write_text
from dkvb.workspace.names import PICTURES
from dkvb.workspace.shredding import shred_folder

LISTING = "data/pages.json"
"""Page -> the key of what it was made from, null while it is being written, the files laid beside it, and the
fingerprint of the features whose single samples it shows, if any."""

Listing = dict[str, dict[str, Any]]


GONE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Purged</title>
<p>This page showed single samples, some of which were purged. <code>dkvb report</code> writes it anew.
<a href="index.html">All reports</a></p></html>
"""
"""What stands in the place of a page until the next report."""


def run(
    recipe: Recipe,
    workspace: Workspace,
    force: bool = False,
    source: ImageSource | FeatureSource | None = None,
    umap: bool = False,
    begin: Begin | None = None,
) -> list[ReportResult]:
    """Write `index.html`, a page per run, and per trained bottleneck a comparison of methods and a look inside, into
    `workspace.reports`.

    Args:
        force: write pages anew that have not changed.
        umap: lay the maps of features out by UMAP as well, which takes longer.

    Returns:
        One record.

    Args:
        source: the images to take pictures from, where they were given from Python (`dkvb.from_arrays`); by default,
            the data set that each model was made from, if it is still there.
        begin: what calls functions in a second process, which then draws the second half of the pages.

    Raises:
        MissingStage: no model has been trained yet.
        DamagedArtifact: a manifest cannot be read.
        UsageError: UMAP is asked for and not installed.
    """
    if umap:
        need_umap()
    with reading(workspace), written_alone(workspace):
        return [_report(recipe, workspace, force, umap, _album(recipe, workspace, source), begin)]


def _album(recipe: Recipe, workspace: Workspace, source: ImageSource | FeatureSource | None) -> Album:
    """The pictures that pages may show; where the recipe wants none, those that were kept go, and those on pages that
    other commands have written."""
    if not recipe.report.pictures:
        redact(workspace.reports, lambda mark: True)
        with locks.unless_read_only(workspace.root):
            for folder in sorted((workspace.root / PICTURES).glob("*")):
                shred_folder(folder)
    return Album(workspace, recipe.data, source, recipe.report.pictures)


def drop_samples(workspace: Workspace, features: str) -> list[str]:
    """Take all pages of the report that show single samples of some features away, with the data beside them; a line
    that says so stands in their place. For a purge: what it erases must not stay on a page.

    Args:
        features: fingerprint of the embed artifact.

    Returns:
        The pages' names.
    """
    folder = workspace.reports
    with written_alone(workspace):
        listing, known = _listed(folder), written.hashes(folder)
        names = [name for name, entry in listing.items() if entry["samples"] == features]
        gone = {file for name in names for file in listing[name]["files"]}
        _remove(folder, gone)
        for name in names:
            write_text(folder / name, GONE)
            listing[name] = {"key": None, "files": [], "samples": ""}
        if names:
            write_json(folder / LISTING, listing)
            written.note(folder, {name for name in known if name not in gone and (folder / name).is_file()})
    return names


def _report(
    recipe: Recipe, workspace: Workspace, force: bool, umap: bool, album: Album, begin: Begin | None
) -> ReportResult:
    started = time.perf_counter()
    collected = replace(collect(workspace), album=album)
    if not collected.setups and not collected.audits:
        raise MissingStage(
            f"There is no trained model in {workspace.root}: run `dkvb train` first, or `dkvb run` for all stages."
        )
    folder = workspace.reports
    rows = request_table.rows(workspace, recipe.deletion.days)
    planned = [*plan(collected, umap), *requests.pages(rows, folder)]
    remove_unfinished(folder)
    listing, ours = _listed(folder), canonical_hash([__version__, sources()])
    keys = {page.name: canonical_hash([ours, page.title, page.inputs]) for page in planned}
    written_before = written.hashes(folder)
    current = {page.name: _current(folder, page.name, keys[page.name], listing, written_before) for page in planned}
    stale = [page for page in planned if force or not current[page.name]]
    there = written.sound(folder, library_name(), written_before)
    with library_being_written(folder, there), progress.task("report", len(stale) + 1, "pages") as task:
        for page, content in _drawn(stale, recipe, workspace, umap, begin):
            _write(folder, page, content, keys[page.name], listing)
            task.advance()
        # the index comes last, so that it never links to a page that is not there yet
        write_text(folder / "index.html", index.html(collected, recipe.name, planned, _beside(folder), rows))
        task.advance()
    _remove_gone(folder, listing, set(keys))
    write_json(folder / LISTING, {name: listing[name] for name in sorted(keys)})
    beside = {file for name in keys for file in listing[name]["files"]}
    written.note(folder, {"index.html", library_name(), *keys, *beside})
    return ReportResult(
        index=str(folder / "index.html"),
        pages=[str(folder / page.name) for page in planned],
        written=len(stale),
        seconds=round(time.perf_counter() - started, 3),
    )


def plan(collected: Collected, umap: bool = False) -> list[Page]:
    """Every page of models, runs and audits, in the order in which the index links to them. `umap`: see `run`."""
    across = [page for kind in (compare, bottleneck, audit, paper) for page in kind.pages(collected)]
    return [*run_page.pages(collected, umap), *across]


def _drawn(
    stale: list[Page], recipe: Recipe, workspace: Workspace, umap: bool, begin: Begin | None
) -> Iterator[tuple[Page, Content]]:
    """Every page with its content; the second half of them from a second process, where there is one."""
    mine = stale if begin is None else stale[: -(-len(stale) // 2)]
    names = [page.name for page in stale[len(mine) :]]
    others = begin(__name__, "drawn", recipe, workspace, umap, names) if begin and names else list
    for page in mine:
        yield page, page.draw()
    yield from zip(stale[len(mine) :], others(), strict=True)


def drawn(recipe: Recipe, workspace: Workspace, umap: bool, names: list[str]) -> list[Content]:
    """Pages of some names, for another process, which holds the workspace for reading meanwhile."""
    album = Album(workspace, recipe.data, None, recipe.report.pictures)
    asked = requests.pages(request_table.rows(workspace, recipe.deletion.days), workspace.reports)
    pages = [*plan(replace(collect(workspace), album=album), umap), *asked]
    by_name = {page.name: page for page in pages}
    return [by_name[name].draw() for name in names]


def _write(folder: Path, page: Page, content: Content, key: str, listing: Listing) -> None:
    """Write a page and the data of its charts, and list them."""
    beside = {data_name(page.name, name): frame for name, frame in content.tables.items()}
    # listed before they are written, so that a report that is killed leaves nothing that a later one would not know
    known = {*listing.get(page.name, {}).get("files", []), *beside}
    listing[page.name] = {"key": None, "files": sorted(known), "samples": page.samples}
    write_json(folder / LISTING, listing)
    for name, frame in beside.items():
        with atomic(folder / name) as temporary:
            frame.write_parquet(temporary)
    write_text(folder / page.name, content.html)
    _remove(folder, known - set(beside))
    listing[page.name] = {"key": key, "files": sorted(beside), "samples": page.samples}


def _beside(folder: Path) -> list[tuple[str, str, str]]:
    """Pages that other commands have written, the last verdict and receipts: path, title and what it is."""
    verdict = [(VERDICT, "The last verdict", "all forgotten classes measured again")]
    receipts = sorted(folder.glob("receipt*.html")) + sorted((folder / "receipts").glob("*.html"))
    return (verdict if (folder / VERDICT).is_file() else []) + [
        (path.relative_to(folder).as_posix(), f"Receipt {path.stem}", "what was done for a request")
        for path in receipts
    ]


def _current(folder: Path, page: str, key: str, listing: Listing, known: dict[str, str]) -> bool:
    """Whether a page and all that lies beside it were made from the same inputs, and are as they were written."""
    listed = listing.get(page, {})
    return listed.get("key") == key and all(written.sound(folder, name, known) for name in (page, *listed["files"]))


def _listed(folder: Path) -> Listing:
    """What the last report wrote; a listing that cannot be read removes nothing and leaves every page to be made."""
    try:
        read = json.loads((folder / LISTING).read_text(encoding="utf-8"))
        return {
            name: {"key": entry["key"], "files": [str(file) for file in entry["files"]]}
            | {"samples": str(entry.get("samples", ""))}
            for name, entry in read.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _remove_gone(folder: Path, listing: Listing, there: set[str]) -> None:
    """Remove pages that are no longer planned, with their data, and other versions of the charts' library."""
    kept = {file for page in there for file in listing[page]["files"]}
    gone = {name for page in set(listing) - there for name in (page, *listing[page]["files"])}
    libraries = {path.relative_to(folder).as_posix() for path in (folder / "assets").glob("vega-*.js")}
    _remove(folder, (gone - kept) | (libraries - {library_name()}))


def _remove(folder: Path, names: set[str]) -> None:
    places = {".html": folder, ".parquet": folder / "data", ".js": folder / "assets"}
    for name in names:
        path = folder / name
        # only what a report can have written, where it writes it
        if places.get(path.suffix) == path.parent and path.name != "index.html":
            path.unlink(missing_ok=True)
