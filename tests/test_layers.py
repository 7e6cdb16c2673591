"""The import rule: a file imports from its own folder and from lines below its own; never upward, sideways or in a
circle."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import dkvb

PACKAGE = Path(dkvb.__file__).parent
LINES = """
__main__
cli
commands
__init__
estimator
deletion experiments audit
stages
methods embedding inference pages
training encoders pictures
evaluation sources
workspace
bottleneck
runtime
recipe records
registry
entries
errors version metrics
"""
LINE = {room: -number for number, rooms in enumerate(LINES.split("\n")) for room in rooms.split()}


@cache
def modules() -> dict[str, Path]:
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}


def room(module: str) -> str:
    return module.split(".")[0]


@cache
def imports(path: Path) -> frozenset[str]:
    """The package's modules that a file imports anywhere in it, for type checking alone included."""
    known, found = modules(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        assert not isinstance(node, ast.ImportFrom) or node.level == 0, f"{path}: write imports from dkvb on"
        base = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        for full in (f"{base}.{name}".strip(".") for name in names):
            if full.startswith("dkvb."):
                inner = full.removeprefix("dkvb.")
                outer = inner.rpartition(".")[0]
                candidates = (inner, f"{inner}.__init__", outer, f"{outer}.__init__")
                found.add(next((name for name in candidates if name in known), "__init__"))
    return frozenset(found)


def test_no_import_goes_up_or_sideways() -> None:
    known = modules()
    wrong = [
        f"{module} imports {other}"
        for module, path in known.items()
        for other in imports(path)
        if room(module) != room(other) and LINE[room(other)] >= LINE[room(module)]
    ]
    assert not wrong, "\n".join(sorted(wrong))


def test_no_import_is_part_of_a_circle() -> None:
    known = modules()
    TopologicalSorter({module: imports(path) - {module} for module, path in known.items()}).prepare()
