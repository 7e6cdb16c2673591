"""The page of all deletion requests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dkvb.pages.page import INDEX, Content, Page, render
from dkvb.records.requests import RequestRow
from dkvb.workspace.names import RECEIPTS

NAME = "requests.html"


def pages(rows: Sequence[RequestRow], reports: Path) -> list[Page]:
    """The page, where there is any request.

    Args:
        reports: the folder of pages, to link those receipts that lie in it.
    """
    if not rows:
        return []
    links = {row.request: f"{RECEIPTS}/{row.request}.html" for row in rows}
    there = {name: link for name, link in links.items() if (reports / link).is_file()}

    def content() -> Content:
        late = sum(row.overdue for row in rows)
        unanswered = sum(row.answered is None for row in rows)
        html = render("requests.html", rows=rows, receipts=there, late=late, unanswered=unanswered, links=[INDEX])
        return Content(html, {})

    inputs = [[row.model_dump(mode="json") for row in rows], there]
    return [Page(NAME, "Deletion requests", "every request, its verdict and its deadline", inputs, content, "requests")]
