"""The notebooks of docs/notebooks run, and print what their pages show."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import jupytext
import pytest

from test_docs import ROOT, assert_printed

MAKER = ROOT / "docs/make_notebooks.py"
SOURCES = sorted((ROOT / "docs/notebooks").glob("*.py"))
by_name = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)


@pytest.fixture(scope="module")
def maker() -> dict[str, Any]:
    return runpy.run_path(str(MAKER))


def shown(source: Path, *kinds: str) -> list[str]:
    """The fenced blocks of some kinds on a notebook's page."""
    page = source.with_suffix(".md").read_text(encoding="utf-8")
    return [text for kind, text in re.findall(r"^```(\w+)\n(.*?)\n```$", page, re.S | re.M) if kind in kinds]


def test_there_are_the_four(maker: dict[str, Any]) -> None:
    assert [source.stem for source in SOURCES] == [
        "comparing_methods",
        "deletion_request",
        "own_embeddings",
        "own_method",
    ]
    assert maker["sources"]() == SOURCES
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert all(f"notebooks/{source.stem}.md" in navigation for source in SOURCES)


@by_name
def test_a_page_has_the_cells_of_its_notebook(source: Path) -> None:
    """`python docs/make_notebooks.py` was run since the notebook was changed."""
    cells = jupytext.read(source).cells
    code = [re.sub(r"\A%%bash\n", "", cell.source) for cell in cells if cell.cell_type == "code"]
    assert shown(source, "python", "bash") == [text.replace("  # noqa: F821", "") for text in code]
    page = source.with_suffix(".md").read_text(encoding="utf-8")
    assert all(cell.source in page for cell in cells if cell.cell_type == "markdown")
    for picture in re.findall(r"\]\((\S+\.svg)\)", page):
        assert (source.parent / picture).read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.slow
@by_name
def test_a_notebook_prints_what_its_page_shows(source: Path, maker: dict[str, Any], tmp_path: Path) -> None:
    notebook = maker["executed"](source, tmp_path)
    printed = [maker["printed"](cell, tmp_path) for cell in notebook.cells if cell.cell_type == "code"]
    lines = [line for block in shown(source, "text") for line in block.splitlines()]
    assert_printed([words(line) for line in lines], "\n".join(map(words, "\n".join(printed).splitlines())), source.name)
    drawn = [picture for cell in notebook.cells for picture in maker["drawn"](cell)]
    assert len(drawn) == source.with_suffix(".md").read_text(encoding="utf-8").count(".svg)")


def words(line: str) -> str:
    """A line without what another machine's last bits may change: hashes, and verdicts that hang on a row."""
    return re.sub(r"\b[0-9a-f]{12}([0-9a-f]{52})?\b", "0", line)
