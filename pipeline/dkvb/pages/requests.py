"""The page of all deletion requests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dkvb.pages.charts.timeline import SHOWN, STANDING, timeline
from dkvb.pages.facts.headline import requested
from dkvb.pages.facts.timeline import happenings, happenings_table, next_step, spans
from dkvb.pages.page import INDEX, Content, Page, data_name, render
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
        tables = {"timeline": happenings_table(rows)}
        html = render(
            "requests.html",
            rows=rows,
            steps={row.request: next_step(row) for row in rows},
            receipts=there,
            said=requested(rows),
            charts={"timeline": timeline(spans(rows), happenings(rows))},
            standings=STANDING,
            shown=SHOWN,
            tables={name: data_name(NAME, name) for name in tables},
            links=[INDEX],
        )
        return Content(html, tables)

    inputs = [[row.model_dump(mode="json") for row in rows], there]
    return [Page(NAME, "Deletion requests", "every request, its verdict and its deadline", inputs, content, "requests")]
