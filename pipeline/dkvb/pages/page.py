"""What all pages share: the templates, the style, the charts' script and library, and escaping."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Any

import jinja2
import polars as pl
from markupsafe import Markup

from dkvb.pages.charts import palette
from dkvb.pages.facts import words
from dkvb.version import __version__


@dataclass(frozen=True)
class Page:
    """A page to be written; `make` is called only where `inputs` differ from those of the page that is there."""

    name: str
    """File name, beside the index."""
    title: str
    about: str
    """What it shows, in a line, for the index."""
    inputs: Any
    """All that the page depends on, as JSON."""
    make: Callable[[], tuple[str, dict[str, pl.DataFrame]]]
    """HTML, and the tables to lay beside it, by name; see `data_name`."""
    kind: str = "page"


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


def library_name() -> str:
    """The charts' library, one file beside all pages; its name changes with its version."""
    return f"assets/vega-{version('vl-convert-python')}.js"


@cache
def vega_bundle() -> str:
    """Vega, Vega-Lite and vega-embed in one script."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle


def as_json(value: Any) -> Markup:
    """JSON that cannot end the <script> element around it, whatever a class is called."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


@cache
def environment() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("dkvb.pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    names = ("percent", "points", "spread", "count", "counts", "seconds", "deviation", "exact", "amount")
    env.filters |= {name: getattr(words, name) for name in names}
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
    return environment().get_template(template).render(style=Markup(style), payload=payload, **scripts, **context)


def _scripts(context: dict[str, Any]) -> list[str]:
    return [
        "tables.js",
        *(["charts.js"] if context.get("charts") else []),
        *(["dial.js"] if context.get("dial") else []),
    ]
