"""Draws the bottleneck, docs/bottleneck.svg: `python docs/draw_bottleneck.py`.

Plain SVG on a card of its own, which turns dark where the reader's screen does; no library, the same bytes every time.
"""

from __future__ import annotations

import random
from pathlib import Path

WIDTH, HEIGHT, MIDDLE = 1030, 432, 240
FEATURE, PROJECTION, QUERY, LEFT, MEAN, LOGITS = 266, 350, 408, 446, 802, 926  # where the columns stand
PAIRS, CELL = 8, 36
RIGHT = LEFT + PAIRS * CELL
ROWS, NAMES = (126, 218, 338), ("1", "2", "C")  # the middle of the codebooks drawn: the first, the second, the last
SELECTED = ((1, 4), (3, 6), (2, 5))  # pairs that the sample looks up, k = 2 of them in each codebook
MASKED = ((2,), (4, 5), (1, 7))
PASSED = (2, 4, 1)  # a masked pair that would have been among the nearest
DIGIT = (  # the first of scikit-learn's digits, a shade from 0 to f a pixel
    *("005d9100", "00dfaf50", "03f20b80", "04c00880"),
    *("05800980", "04b01c70", "02e5ac00", "006da000"),
)
CLASSES = (("6", 62, 0), ("9", 34, 0), ("5", 26, 0), ("0", 5, 74))  # logits after and before class 0 was forgotten

STYLE = """
  svg { --card: #fbfaf7; --ink: #1f2328; --soft: #656d76; --line: #b9bec5; --cell: #e9ebee;
        --blue: #0b6bc2; --red: #c8391f }
  @media (prefers-color-scheme: dark) {
    svg { --card: #161b22; --ink: #e6edf3; --soft: #9198a1; --line: #545d68; --cell: #2a313a;
          --blue: #58a6ff; --red: #ff7b72 }
  }
  .card { fill: var(--card); stroke: var(--line) }
  text { font: 15px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: var(--ink); text-anchor: middle }
  .small { font-size: 13px; fill: var(--soft) }
  .left { text-anchor: start } .right { text-anchor: end }
  .box { fill: var(--cell); stroke: var(--line) }
  .ink { fill: var(--ink) } .bar { fill: var(--soft) } .blue { fill: var(--blue) } .red { fill: var(--red) }
  .flow { stroke: var(--soft); stroke-width: 1.4; fill: none }
  .chosen { stroke: var(--blue); stroke-width: 2; fill: none }
  .passed { stroke: var(--red); stroke-width: 1.4; stroke-dasharray: 3 4; fill: none }
  .cross { stroke: var(--red); stroke-width: 1.8 }
  .masked { fill: none; stroke: var(--red); stroke-dasharray: 3 3 }"""


def text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}"{f" class={kind!r}" if kind else ""}>{words}</text>'.replace("'", '"')


def box(x: float, y: float, width: float, height: float, kind: str = "box", more: str = "") -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" class="{kind}"{more}/>'


def path(kind: str, course: str, arrow: bool = True) -> str:
    head = f' marker-end="url(#{kind})"' if arrow else ""
    return f'<path d="{course}" class="{kind}"{head}/>'


def picture(x: float, y: float) -> list[str]:
    """One of scikit-learn's digits, pixel by pixel."""
    pixels = [(i, j, int(value, 16)) for j, row in enumerate(DIGIT) for i, value in enumerate(row)]
    shade = [box(x + 8 * i, y + 8 * j, 8, 8, "ink", f' opacity="{v / 15:.2f}"') for i, j, v in pixels if v]
    return [box(x, y, 64, 64), *shade]


def pair(row: int, place: int, rng: random.Random) -> list[str]:
    """A key above its value, whose bars are the votes for each class."""
    x, y = LEFT + place * CELL, ROWS[row] - 34
    votes = [rng.uniform(3, 20) for _ in range(4)]
    masked, selected = place in MASKED[row], place in SELECTED[row]
    kind = "masked" if masked else "chosen" if selected else "box"
    parts = [box(x + 2, y, CELL - 4, 24, kind), box(x + 2, y + 28, CELL - 4, 28, kind)]
    parts.append(f'<circle cx="{x + CELL / 2:g}" cy="{y + 12}" r="4" class="{"blue" if selected else "bar"}"/>')
    colour = "blue" if selected else "bar"
    parts += [box(x + 7 + 6 * i, y + 53 - v, 4, round(v, 1), colour) for i, v in enumerate(votes)]
    if masked:
        parts = [f'<g opacity="0.55">{"".join(parts)}</g>']
        parts.append(f'<path d="M{x + 4} {y + 2}l{CELL - 8} 52m0 -52l{8 - CELL} 52" class="cross"/>')
    return parts


def codebook(row: int, rng: random.Random) -> list[str]:
    """A projection, the query that it makes, and the pairs of one codebook: looked up, masked, passed over."""
    y, name = ROWS[row], NAMES[row]
    x = PROJECTION - 23
    parts = [path("flow", f"M{FEATURE + 8} {MIDDLE}C{x - 22} {MIDDLE} {x - 32} {y} {x - 4} {y}")]
    parts += [box(x, y - 16, 46, 32, "box", ' rx="4"')]
    parts += [text(PROJECTION, y + 5, f'R<tspan dy="4" font-size="11">{name}</tspan>')]
    parts += [path("flow", f"M{x + 46} {y}H{QUERY - 10}"), *(box(QUERY - 6, y - 12 + 8 * i, 12, 8) for i in range(3))]
    parts += [part for place in range(PAIRS) for part in pair(row, place, rng)]
    centre = {place: LEFT + (place + 0.5) * CELL for place in range(PAIRS)}
    for place in (PASSED[row], *SELECTED[row]):
        kind, top = ("chosen" if place in SELECTED[row] else "passed"), y - 62
        parts.append(
            path(kind, f"M{QUERY} {y - 14}C{QUERY + 2} {top} {centre[place]:g} {top} {centre[place]:g} {y - 36}")
        )
    parts += [path("chosen", f"M{centre[place]:g} {y + 23}V{y + 32}", arrow=False) for place in SELECTED[row]]
    course = f"M{centre[min(SELECTED[row])]:g} {y + 32}H{RIGHT + 8}"
    course += f"C{RIGHT + 40} {y + 32} {RIGHT + 30} {MIDDLE} {MEAN - 16} {MIDDLE}"
    return [*parts, path("chosen", course)]


def bars(x: float, y: float) -> list[str]:
    """The logits; of the forgotten class also what it had before."""
    parts = []
    for i, (name, after, before) in enumerate(CLASSES):
        top = y + 30 * i
        parts.append(text(x - 8, top + 12, name, "small right"))
        if before:
            parts.append(box(x, top, before, 16, "masked"))
        parts.append(box(x, top, after, 16, "red" if before else "blue"))
    return parts


def markers() -> str:
    heads = {"flow": "bar", "chosen": "blue", "passed": "red"}
    return "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"'
        f' markerUnits="userSpaceOnUse"><path d="M0 0L8 4L0 8z" class="{colour}"/></marker>'
        for name, colour in heads.items()
    )


def legend(y: float) -> list[str]:
    """Marks under the codebooks, and what they mean."""
    parts = [box(150, y - 12, 14, 14, "chosen"), text(171, y, "looked up: the k nearest keys (here 2)", "small left")]
    parts += [box(430, y - 12, 14, 14, "masked"), f'<path d="M431 {y - 11}l12 12m0 -12l-12 12" class="cross"/>']
    parts.append(text(451, y, "masked: passed over for the next nearest", "small left"))
    parts += [box(731 + 5 * i, y + 2 - v, 3, v, "bar") for i, v in enumerate((6, 12, 9, 4))]
    return [*parts, text(756, y, "value: votes for each of L classes", "small left")]


def encoder() -> list[str]:
    """The image, the encoder, and the feature that either the encoder or the user gives."""
    parts = [*picture(24, MIDDLE - 32), path("flow", f"M92 {MIDDLE}H118")]
    parts += [f'<path d="M122 {MIDDLE - 60}L216 {MIDDLE - 34}V{MIDDLE + 34}L122 {MIDDLE + 60}z" class="box"/>']
    parts += [text(168, MIDDLE - 4, "CLIP,"), text(168, MIDDLE + 16, "ResNet50")]
    parts += [path("flow", f"M216 {MIDDLE}H{FEATURE - 12}")]
    parts += [box(FEATURE - 8, MIDDLE - 48 + 12 * i, 16, 12) for i in range(8)]
    parts += [path("flow", f"M{FEATURE} {MIDDLE + 78}V{MIDDLE + 54}")]
    return [
        *parts,
        text(FEATURE, MIDDLE + 96, "or features", "small"),
        text(FEATURE, MIDDLE + 113, "of your own", "small"),
    ]


def headings() -> list[str]:
    heads = [(56, "image"), (168, "frozen encoder"), (FEATURE, "feature"), (PROJECTION, "projections")]
    heads += [(LEFT + 144, "top-k lookup in codebooks"), (MEAN, "mean"), (LOGITS, "logits")]
    shapes = [(FEATURE, "(D)"), (PROJECTION, "random, D → d"), (MEAN, "of k, of C"), (LOGITS, "(L)")]
    shapes += [(LEFT + 144, "C codebooks of M pairs, a key and a value each")]
    return [text(x, 34, words) for x, words in heads] + [text(x, 54, words, "small") for x, words in shapes]


def draw() -> str:
    rng = random.Random(1)
    parts = [box(0.5, 0.5, WIDTH - 1, HEIGHT - 1, "card", ' rx="10"'), *headings(), *encoder()]
    for row in range(len(ROWS)):
        parts += codebook(row, rng)
    parts += [
        text(RIGHT + 10, ROWS[0] - 18, "keys", "small left"),
        text(RIGHT + 10, ROWS[0] + 12, "values", "small left"),
    ]
    parts += [text(x, 286, "⋮") for x in (PROJECTION, QUERY, LEFT + 144)]
    parts += [f'<circle cx="{MEAN}" cy="{MIDDLE}" r="14" class="box"/>', text(MEAN, MIDDLE + 5, "x̄")]
    parts += [path("flow", f"M{MEAN + 14} {MIDDLE}H{MEAN + 40}"), *bars(LOGITS, MIDDLE - 52)]
    parts += [
        text(LOGITS, MIDDLE + 96, "the forgotten class", "small"),
        text(LOGITS, MIDDLE + 113, "loses its votes", "small"),
    ]
    parts += legend(HEIGHT - 22)
    label = "From an image through a frozen encoder, projections and codebooks of key-value pairs to logits"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
    return "\n".join([head, f"<style>{STYLE}\n</style>", f"<defs>{markers()}</defs>", *parts, "</svg>", ""])


if __name__ == "__main__":
    Path(__file__).with_name("bottleneck.svg").write_text(draw(), encoding="utf-8")
