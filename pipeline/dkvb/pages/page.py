"""What all pages share: the templates, the style, the charts' script and library, and escaping."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Any

import jinja2
import polars as pl
from markupsafe import Markup, escape

from dkvb.pages.charts import palette
from dkvb.pages.charts.lazy import unchecked
from dkvb.pages.facts import words
from dkvb.pages.library import library_name
from dkvb.runtime.visible import all_visible, visible
from dkvb.version import __version__

INDEX = ("index.html", "All reports")
"""The link to the index, as (address, name)."""

VERDICT = "verify.html"
"""The page of the last verdict."""


@dataclass(frozen=True)
class Content:
    """What a page is: its HTML, and the tables to lay beside it, by name; see `data_name`."""

    html: str
    tables: dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Page:
    """A page to be written; it is drawn only where `inputs` differ from those of the page that is there."""

    name: str
    """File name, beside the index."""
    title: str
    about: str
    """What it shows, in a line, for the index."""
    inputs: Any
    """All that the page depends on, as JSON."""
    content: Callable[[], Content]
    kind: str = "page"
    samples: str = ""
    """Fingerprint of the features whose single samples it shows; "" where it shows none."""

    def draw(self) -> Content:
        """The page itself."""
        with unchecked():
            return self.content()


def data_name(page: str, table: str) -> str:
    """Where a table of a page's data lies, relative to the page."""
    return f"data/{PurePosixPath(page).stem}-{table}.parquet"


def text_of(name: str) -> str:
    return (resources.files("dkvb.pages") / "assets" / name).read_text(encoding="utf-8")


@cache
def sources() -> str:
    """sha256 over the code and templates of the pages, which change between releases while a page is worked on."""
    digest = hashlib.sha256()
    folders = [resources.files("dkvb.pages")]
    for folder in folders:
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if entry.is_dir():
                folders.append(entry)
            elif entry.name.endswith((".py", ".js", ".css", ".html")):
                digest.update(entry.read_bytes())
    return digest.hexdigest()


def as_json(value: Any) -> Markup:
    """JSON that cannot end the <script> element around it nor turn text round, whatever a class is called."""
    text = json.dumps(all_visible(value), separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def coded(sentence: str) -> Markup:
    """A sentence with what stands between backticks as code."""
    parts = sentence.split("`")
    if len(parts) % 2 == 0:  # one of them has no fellow
        return escape(sentence)
    marked = [Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)]
    return Markup("").join(marked)


FILTERS = (
    *("percent", "points", "short", "deviation", "difference_deviation", "exact", "over_seeds"),
    *("class_names", "count", "counts", "seconds", "duration", "amount", "size", "number", "numbers", "measure"),
)
"""Functions of `words` that templates use."""


@cache
def environment() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("dkvb.pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    env.filters |= {name: getattr(words, name) for name in FILTERS} | {"coded": coded}
    env.globals |= {"plural": words.plural, "look": palette.look, "version": __version__}
    return env


def render(template: str, **context: Any) -> str:
    """A whole page: style and script inlined and, where it has charts, a link to their library.

    Args:
        context: `charts` maps ids to specs; `dial`, if any, is what the page's slider needs; `links` are (address,
            name) of related pages.
    """
    root = {scheme: palette.css_variables(scheme) for scheme in palette.COLOURS}
    style = (
        f":root{{{root['light']}}}@media screen and"
        f" (prefers-color-scheme:dark){{:root{{{root['dark']}}}}}\n{text_of('style.css')}"
    )
    charts = context.get("charts") or {}
    payload = as_json({"charts": charts, "dial": context.get("dial"), "themes": palette.themes()}) if charts else ""
    scripts = {
        "library": library_name() if charts else "",
        "scripts": [Markup(text_of(name)) for name in _scripts(context)],
    }
    context = {"links": [], **context}
    html = environment().get_template(template).render(style=Markup(style), payload=payload, **scripts, **context)
    return visible(html)


def _scripts(context: dict[str, Any]) -> list[str]:
    return [
        "tables.js",
        *(["charts.js"] if context.get("charts") else []),
        *(["dial.js"] if context.get("dial") else []),
    ]
