"""What all pages share: the templates, the style, the charts' script and library, and escaping."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from dkvb import __version__
from dkvb.pages import palette, words


def text_of(name: str) -> str:
    return (resources.files("dkvb.pages") / name).read_text(encoding="utf-8")


@cache
def vega_bundle() -> str:
    """Vega, Vega-Lite and vega-embed in one script, safe inside a <script> element."""
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", "<\\/script").replace("<!--", "\\x3c!--")


def as_json(value: Any) -> Markup:
    """JSON that cannot end the <script> element around it, whatever a class is called."""
    return Markup(json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))


@cache
def environment() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("dkvb.pages"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    env.filters |= {name: getattr(words, name) for name in ("percent", "points", "spread", "count", "counts", "seconds")}
    env.globals |= {"plural": words.plural, "look": palette.look, "version": __version__}
    return env


def render(template: str, **context: Any) -> str:
    """A whole page: style inlined and, where it has charts, their library once."""
    root = {scheme: palette.css_variables(scheme) for scheme in palette.COLOURS}
    style = f":root{{{root['light']}}}@media screen and (prefers-color-scheme:dark){{:root{{{root['dark']}}}}}\n{text_of('style.css')}"
    charts = context.get("charts") or {}
    scripts = {"bundle": Markup(vega_bundle()), "script": Markup(text_of("charts.js"))} if charts else {"bundle": "", "script": ""}
    payload = as_json({"charts": charts, "themes": palette.themes()}) if charts else ""
    return environment().get_template(template).render(style=Markup(style), payload=payload, **scripts, **context)
