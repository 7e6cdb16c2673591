"""One look for every page: what each method is called, its colour and mark, and the charts' theme in light and in dark.

Charts name colours as tokens ("@forget"); the page's script puts in the colour of the scheme that the reader's system
asks for. Hues are told apart by colour-blind readers (after Okabe and Ito), and every method has a mark of its own
besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
        "activations": "#0a6fc2",
        "examples": "#b47700",
        "scrub": "#ab3f80",
        "logit-mask": "#6f7680",
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
        "activations": "#62b3ff",
        "examples": "#efb13f",
        "scrub": "#e890c6",
        "logit-mask": "#98a0ab",
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


@dataclass(frozen=True)
class Look:
    """How a method is named and drawn."""

    name: str
    plain: str
    colour: str
    shape: str


STAR = "M0,-1L0.25,-0.33L0.95,-0.31L0.4,0.13L0.59,0.81L0,0.42L-0.59,0.81L-0.4,0.13L-0.95,-0.31L-0.25,-0.33Z"


METHODS: dict[str, Look] = {
    "activations": Look(
        "Masking by activations", "hides the pairs that the forgotten class uses most", "activations", "circle"
    ),
    "examples": Look(
        "Masking by examples", "hides every pair that a sample of the forgotten class uses", "examples", "square"
    ),
    "scrub": Look(
        "SCRUB",
        "fine-tunes away from the original on the forgotten class, towards it on the rest",
        "scrub",
        "triangle-up",
    ),
    "scrub-values": Look(
        "SCRUB on the values", "the same fine-tuning, on the bottleneck's values", "scrub-values", "triangle-down"
    ),
    "scrub-r": Look(
        "SCRUB+R", "SCRUB, rewound to the epoch whose error looks most natural", "scrub-r", "triangle-right"
    ),
    "logit-mask": Look(
        "Logit mask (control)", "only forbids the answer; nothing inside the model changes", "logit-mask", "cross"
    ),
    "retrain": Look(
        "Retrained", "trains again without the forgotten class: what forgetting should look like", "retrain", "diamond"
    ),
    "retrain-keys": Look(
        "Retrained, keys too", "keys and values made again without the forgotten class", "retrain-keys", STAR
    ),
    "retrain-linear": Look(
        "Retrained linear head", "the plain head, trained again without the class", "retrain-linear", "triangle-left"
    ),
}


MASKING = ("activations", "examples")


ORDER = list(METHODS)


def look(method: str) -> Look:
    """A method's look; a method that is newer than this page gets its own name and a colour of no other."""
    return METHODS.get(method) or Look(method.replace("-", " "), "", "other", "stroke")


def rank(method: str) -> int:
    return ORDER.index(method) if method in ORDER else len(ORDER)


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
