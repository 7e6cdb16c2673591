"""The page of an audit: every method beside retrained models, in every measure."""

from __future__ import annotations

import re
from pathlib import Path

from dkvb.pages.charts.audit import picture
from dkvb.pages.charts.audit_measures import small
from dkvb.pages.facts import audited
from dkvb.pages.facts.audit_measures import described, never_taken
from dkvb.pages.facts.audit_table import entries_table, measures_table, rows
from dkvb.pages.facts.audit_verdict import verdict
from dkvb.pages.facts.runs import Collected
from dkvb.pages.facts.words import plural
from dkvb.pages.page import INDEX, Content, Page, data_name, render
from dkvb.records.audit import Audit
from dkvb.workspace.files import canonical_hash


def pages(collected: Collected) -> list[Page]:
    """A page per audit, the one last made first."""
    return [_page(audit) for audit in reversed(collected.audits)]


def _page(audit: Audit) -> Page:
    methods = len({entry.method for entry in audit.entries if entry.role == "unlearned"})
    about = (
        f"{plural(methods, 'method', 'methods')} beside {plural(audit.oracles, 'retrained model', 'retrained models')},"
        f" seed {audit.seed}: which comes closest to retraining"
    )
    inputs = audit.model_dump(mode="json", exclude={"skipped", "artifact"})
    title = f"Audit: {audited.forgotten(audit)} forgotten in {audit.name}"
    return Page(name_of(audit), title, about, inputs, lambda: content(audit), "audit")


def name_of(audit: Audit) -> str:
    """The page's file name: what was audited, and a mark of its own."""
    words = f"audit-{audit.name}-{'-'.join(audit.forget_names)}-seed{audit.seed}"
    readable = re.sub(r"[^A-Za-z0-9]+", "-", words).strip("-").lower()[:60].rstrip("-")
    keys = [entry.key for entry in audit.entries]
    # two of the same name and methods differ by what they were made from, as their folders do
    mark = [audit.forget, audit.oracles, keys, Path(audit.artifact or "").name]
    return f"{readable}-{canonical_hash(mark)[:8]}.html"


def content(audit: Audit) -> Content:
    """The page's HTML, and its data."""
    name, groups, measures = name_of(audit), audited.groups(audit), described(audit)
    shown = {f"m{place}": small(groups, one.name) for place, one in enumerate(measures)}
    charts = {"picture": picture(groups, audited.distances(audit)), **shown}
    tables = {"measures": measures_table(audit), "entries": entries_table(audit)}
    html = render(
        "audit.html",
        audit=audit,
        slug=name[:-5],
        forgotten=audited.forgotten(audit),
        said=verdict(audit),
        groups=groups,
        measures=measures,
        rows={group.kind: rows(group, measures) for group in groups},
        never=never_taken(audit),
        timed=any(entry.seconds is not None for entry in audit.entries),
        held_out=any(entry.role == "retrained" for entry in audit.entries),
        ours=any(audited.own(entry) for entry in audit.entries),
        failed=[entry for entry in audit.entries if entry.error],
        charts={chart: spec for chart, spec in charts.items() if spec},
        tables={table: data_name(name, table) for table in tables},
        links=[INDEX],
    )
    return Content(html, tables)
