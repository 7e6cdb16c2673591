"""Runs the notebooks of docs/notebooks and writes a page of each, with what it printed: `python docs/make_notebooks.py
[NAME …]`.

Needs `pip install 'dkvb[notebooks]'`. Their sources are py:percent files, which jupytext opens as notebooks; each runs
in an empty folder of its own.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parent / "notebooks"
HEAD = "<!-- Generated: python docs/make_notebooks.py -->\n\n"
FOOT = """
*This page is the notebook [`{name}.py`]({name}.py) as it ran: `jupytext --to ipynb {name}.py` makes one to open.*
"""
SECONDS = 240
"""That a cell may take."""


def sources() -> list[Path]:
    """The notebooks."""
    return sorted(FOLDER.glob("*.py"))


def executed(source: Path, folder: Path) -> NotebookNode:
    """A notebook with its outputs, run in a folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell or a command in it failed.
    """
    notebook = jupytext.read(source)
    # `dkvb` is the one of this Python, and tables are as wide as pages
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "COLUMNS": "110", "XDG_CACHE_HOME": str(folder / ".cache")}
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=place)
    client.execute(env=environment)
    return notebook


def printed(cell: NotebookNode, folder: Path) -> str:
    """What a cell printed or gave as text, but for progress, which goes to stderr."""
    parts = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream" and output.name == "stdout":
            parts.append(output.text)
        elif "data" in output and "image/svg+xml" not in output.data:
            parts.append(output.data.get("text/plain", "") + "\n")
    lines = re.sub(r"\x1b\[[\d;]*m", "", "".join(parts)).replace(str(folder), "…").splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def drawn(cell: NotebookNode) -> list[str]:
    """The pictures of a cell, as SVG."""
    return [out.data["image/svg+xml"] for out in cell.get("outputs", []) if "image/svg+xml" in out.get("data", {})]


def blocks(notebook: NotebookNode, name: str, folder: Path, pictures: dict[str, str]) -> Iterator[str]:
    """The parts of a page; the files that it shows go into `pictures`."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            yield cell.source
            continue
        bash = cell.source.startswith("%%bash")
        code = re.sub(r"\A%%bash\n", "", cell.source).replace("  # noqa: F821", "")
        yield f"```{'bash' if bash else 'python'}\n{code}\n```"
        if text := printed(cell, folder):
            yield f"```text\n{text}\n```"
        for picture in drawn(cell):
            file = f"{name}-{len(pictures) + 1}.svg"
            pictures[file] = picture
            yield f"![What the cell draws]({file})"


def write(source: Path) -> None:
    """Run a notebook and write its page, and the pictures on it."""
    with tempfile.TemporaryDirectory() as made:
        folder, pictures = Path(made).resolve(), dict[str, str]()
        notebook = executed(source, folder)
        parts = list(blocks(notebook, source.stem, folder, pictures))
    text = HEAD + "\n\n".join(parts) + "\n" + FOOT.format(name=source.stem)
    source.with_suffix(".md").write_text(text, encoding="utf-8")
    for file, picture in pictures.items():
        (FOLDER / file).write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    for source in sources():
        if not sys.argv[1:] or source.stem in sys.argv[1:]:
            write(source)
