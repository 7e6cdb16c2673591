"""One look for every page: each method's colour and mark, and the charts' theme in light and in dark.

Charts name colours as tokens ("@forget"); the page's script puts in the colour of the scheme that the reader's system
asks for. Hues are told apart by colour-blind readers (after Okabe and Ito), and every method has a mark of its own
besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dkvb.pages.facts import methods

SANS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'


COLOURS: dict[str, dict[str, str]] = {
    "light": {
        "page": "#fbfaf7",
        "ink": "#22262b",
        "muted": "#5d646d",
        "line": "#dcd8cf",
        "grid": "#ece9e2",
        "retain": "#2f3b4a",
        "forget": "#cf3a1c",
        "votes": "#3a35c9",
        "activations": "#0a6fc2",
        "examples": "#b47700",
        "scrub": "#ab3f80",
        "logit-mask": "#6f7680",
        "own-votes": "#c2185b",
        "scrub-values": "#7b55b8",
        "scrub-r": "#8c1f44",
        "retrain": "#00806a",
        "retrain-keys": "#4d7c0f",
        "retrain-linear": "#0d6e86",
        "other": "#7b5d3f",
        "loss": "#c2581a",
        "level": "#efece5",
        "gain": "#1b6fae",
        "deep": "#0b4f8a",
    },
    "dark": {
        "page": "#15181c",
        "ink": "#e9e7e2",
        "muted": "#a2a8b0",
        "line": "#363b42",
        "grid": "#272b31",
        "retain": "#d5dae1",
        "forget": "#ff7d5e",
        "votes": "#a3a0ff",
        "activations": "#62b3ff",
        "examples": "#efb13f",
        "scrub": "#e890c6",
        "logit-mask": "#98a0ab",
        "own-votes": "#ff8ab5",
        "scrub-values": "#b79bf0",
        "scrub-r": "#f2748f",
        "retrain": "#3fcaa8",
        "retrain-keys": "#a4d65e",
        "retrain-linear": "#5cc7dd",
        "other": "#c9a27d",
        "loss": "#f08a4b",
        "level": "#262a30",
        "gain": "#5aa9ee",
        "deep": "#8cc8ff",
    },
}


STAR = "M0,-1L0.25,-0.33L0.95,-0.31L0.4,0.13L0.59,0.81L0,0.42L-0.59,0.81L-0.4,0.13L-0.95,-0.31L-0.25,-0.33Z"

HEXAGON = "M0.9,0L0.45,0.78L-0.45,0.78L-0.9,0L-0.45,-0.78L0.45,-0.78Z"
"""The mark of the neutral look."""

PENTAGON = "M0,-0.9L0.86,-0.28L0.53,0.73L-0.53,0.73L-0.86,-0.28Z"

SALTIRE = "M-0.9,-0.6L-0.6,-0.9L0,-0.3L0.6,-0.9L0.9,-0.6L0.3,0L0.9,0.6L0.6,0.9L0,0.3L-0.6,0.9L-0.9,0.6L-0.3,0Z"

SHAPES = {
    "votes": PENTAGON,
    "activations": "circle",
    "examples": "square",
    "scrub": "triangle-up",
    "scrub-values": "triangle-down",
    "scrub-r": "triangle-right",
    "logit-mask": "cross",
    "own-votes": SALTIRE,
    "retrain": "diamond",
    "retrain-keys": STAR,
    "retrain-linear": "triangle-left",
}
"""Method -> its mark; its colour is the token of its own name. Any other method is drawn in the neutral look."""


@dataclass(frozen=True)
class Look:
    """How a method is named and drawn."""

    name: str
    plain: str
    colour: str
    shape: str


def look(method: str) -> Look:
    """A method's look; one of another package gets its own name and a colour of no other."""
    name, plain = methods.title(method), methods.plain(method)
    return Look(name, plain, method, SHAPES[method]) if method in SHAPES else Look(name, plain, "other", HEXAGON)


def vega_config(scheme: str) -> dict[str, Any]:
    """The charts' theme in one scheme."""
    colour = COLOURS[scheme]
    text = {"labelFont": SANS, "titleFont": SANS, "labelFontSize": 12, "titleFontSize": 12}
    return {
        "background": None,
        "font": SANS,
        "padding": 0,
        "view": {"stroke": None},
        "axis": {
            **text,
            "labelColor": colour["muted"],
            "titleColor": colour["muted"],
            "titleFontWeight": "normal",
            "titlePadding": 12,
            "labelPadding": 6,
            "labelSeparation": 10,
            "gridColor": colour["grid"],
            "domainColor": colour["line"],
            "tickColor": colour["line"],
            "tickSize": 4,
        },
        "axisY": {"domain": False, "ticks": False},
        "legend": {
            **text,
            "title": None,
            "orient": "top",
            "columns": 3,
            "labelLimit": 260,
            "symbolSize": 90,
            "offset": 14,
            "labelColor": colour["ink"],
            "titleColor": colour["muted"],
            "symbolOpacity": 1,
            "rowPadding": 5,
        },
        "text": {"font": SANS, "fontSize": 12, "fill": colour["ink"]},
        "title": {"font": SANS, "fontSize": 15, "color": colour["ink"], "anchor": "start", "offset": 14},
        "line": {"strokeWidth": 2.25, "strokeCap": "round", "strokeJoin": "round"},
    }


def themes() -> dict[str, Any]:
    """What a page's script needs to draw every chart in either scheme."""
    return {scheme: {"colours": COLOURS[scheme], "config": vega_config(scheme)} for scheme in COLOURS}


def css_variables(scheme: str) -> str:
    """The palette as CSS custom properties."""
    return "".join(f"--{name}:{value};" for name, value in COLOURS[scheme].items())
