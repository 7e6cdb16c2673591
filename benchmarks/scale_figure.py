"""The figure of docs/scale_out.md: how many times as fast two processes are as one."""

from __future__ import annotations

LABELS = {
    "embed": "dkvb embed",
    "quantize": "dkvb quantize",
    "each": "dkvb unlearn --each --sweep",
    "audit": "dkvb audit",
}
LEFT, SCALE, STEP, TOP, BAR = 240, 230, 44, 46, 22
"""Where bars begin, pixels of a speed-up of 1, rows, and a bar's height."""

STYLE = """
  svg { --card: #fbfaf7; --ink: #1f2328; --soft: #656d76; --line: #b9bec5; --blue: #0b6bc2 }
  @media (prefers-color-scheme: dark) {
    svg { --card: #161b22; --ink: #e6edf3; --soft: #9198a1; --line: #545d68; --blue: #58a6ff }
  }
  .card { fill: var(--card); stroke: var(--line) }
  text { font: 15px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: var(--ink) }
  .small { font-size: 13px; fill: var(--soft); text-anchor: middle }
  .right { text-anchor: end } .bar { fill: var(--blue) } .rule { stroke: var(--line); stroke-dasharray: 3 4 }"""


def draw(speed_ups: dict[str, float], bound: bool) -> str:
    """SVG text: a bar a command, from no gain (1, one process) to twice as fast (2).

    Args:
        bound: whether they are what the processor's seconds leave, rather than what a clock says.
    """
    width, height = LEFT + 2 * SCALE + 70, TOP + STEP * len(speed_ups) + 14
    said = ", ".join(f"{LABELS[name]} {value:.2f}" for name, value in speed_ups.items())
    how = "by the processor's seconds" if bound else "by the clock"
    label = f"Times as fast with two processes as with one, {how}: {said}"
    parts = [f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="10" class="card"/>']
    for at, words in ((1, "one process"), (2, "twice as fast")):
        x = LEFT + at * SCALE
        parts.append(f'<text x="{x}" y="28" class="small">{words}</text>')
        parts.append(f'<line x1="{x}" y1="{TOP - 8}" x2="{x}" y2="{height - 12}" class="rule"/>')
    parts.append(f'<text x="{LEFT - 12}" y="28" class="small right">{how}</text>')
    for row, (name, value) in enumerate(speed_ups.items()):
        y, end = TOP + STEP * row, LEFT + value * SCALE
        parts.append(f'<text x="{LEFT - 12}" y="{y + 17}" class="right">{LABELS[name]}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{value * SCALE:.0f}" height="{BAR}" class="bar"/>')
        parts.append(f'<text x="{end + 8:.0f}" y="{y + 17}">{value:.2f}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
    return "\n".join([head, f"<style>{STYLE}\n</style>", *parts, "</svg>", ""])
