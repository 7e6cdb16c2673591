"""What stands on the report's pages: words, chart data and loaded addresses."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from dkvb.pages.facts.collect import collect
from dkvb.recipe import Recipe
from dkvb.stages import report
from dkvb.workspace.artifacts import Workspace


def written(workspace: Workspace) -> tuple[str, list[str]]:
    [entry] = report.run(Recipe(name="test"), workspace)
    assert entry.seconds >= 0
    runs = {run.page for run in collect(workspace).runs}
    assert runs <= {Path(page).name for page in entry.pages}
    return Path(entry.index).read_text(encoding="utf-8"), [
        Path(page).read_text(encoding="utf-8") for page in entry.pages if Path(page).name in runs
    ]


def text(html: str) -> str:
    """A page's words, without its scripts and style."""
    html = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def payload(html: str) -> Any:
    """What a page's charts are drawn from; None where it has none."""
    found = re.search(r'id="payload">(.*?)</script>', html, re.DOTALL)
    return json.loads(found[1]) if found else None


class Loads(HTMLParser):
    """Addresses that a page would load or link to, and its elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "poster", "action")]
