"""Numbers, classes and lists in the words of the pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dkvb.metrics.intervals import FEW, Stat
from dkvb.pages.facts.runs import ReportRun

CLOSE = 0.01
"""Retain accuracy within one point counts as kept."""


def percent(value: float) -> str:
    """One decimal; never rounds a little up to nothing or down from everything."""
    if 0 < value < 0.0005:
        return "< 0.1%"
    if 0.9995 <= value < 1:
        return "> 99.9%"
    return f"{100 * value:.1f}%"


def points(value: float) -> str:
    """A difference of accuracies, in percentage points."""
    return "±0.0" if abs(value) < 0.0005 else f"{100 * value:+.1f}".replace("-", "−")


def deviation(stat: Stat | None) -> str:
    """` (92.8 to 93.2; sd 0.1)`: the ends of an accuracy over seeds, in percent, and its standard deviation; nothing
    for one seed."""
    return _between(stat, 0.0)


def difference_deviation(stat: Stat | None) -> str:
    """The same of a difference of accuracies, in points."""
    return _between(stat, -1.0)


def _between(stat: Stat | None, low: float) -> str:
    ends = stat.ends(low, 1.0) if stat else None
    if stat is None or stat.sd is None or ends is None:
        return ""
    first, last = (f"{100 * end:.1f}".replace("-0.0", "0.0") for end in ends)
    return f" ({first} to {last}; sd {100 * stat.sd:.1f})".replace("-", "−")


def over_seeds(seeds: int) -> str:
    """What stands in brackets behind a mean over so many seeds, and what it is of."""
    what = (
        f"the range of the {seeds} seeds"
        if seeds <= FEW
        else "the 95% interval of the mean (Student’s t, cut off at 0 and 100%)"
    )
    return f"{what}, which is of training alone, since all seeds share the test samples; sd is the standard deviation"


def exact(value: float | None) -> str:
    """Two decimals, for hovers and read-outs."""
    return "–" if value is None else f"{100 * value:.2f}%"


def amount(value: float | None) -> str:
    """A count of operations: `1.2 G`."""
    if value is None:
        return "–"
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f}"


def count(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def counts(stat: Stat | None) -> str:
    """A mean count over seeds, with its deviation where the seeds differ."""
    if stat is None:
        return "–"
    return f"{stat.mean:,.0f}" + (f" ± {stat.sd:,.0f}" if stat.sd and stat.sd >= 0.5 else "")


def seconds(stat: Stat | None) -> str:
    """A mean duration over seeds."""
    return duration(stat.mean if stat else None)


def duration(value: float | None) -> str:
    """Seconds as people say them."""
    if value is None:
        return "–"
    if value < 0.095:
        return f"{1000 * value:.0f} ms" if value >= 0.001 else "< 1 ms"
    if value < 90:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"


def number(value: float | None) -> str:
    """A measure of unknown range, to four digits."""
    return "–" if value is None else f"{value:.4g}".replace("-", "−")


def numbers(stat: Stat | None) -> str:
    """The mean of such a measure over seeds, with its ends where there are several."""
    if stat is None:
        return "–"
    ends = stat.ends()
    return number(stat.mean) + (f" ({number(ends[0])} to {number(ends[1])})" if ends else "")


def plural(how_many: int, one: str, many: str) -> str:
    return f"{how_many:,} {one if how_many == 1 else many}"


def by_seed(values: Iterable[tuple[int, float | None]]) -> str:
    """Every seed's accuracy: `0: 92.60%, 1: 92.70%`."""
    return ", ".join(f"{seed}: {exact(value)}" for seed, value in values)


def short(name: str, limit: int = 28) -> str:
    """A name of at most `limit` letters: of a longer one its beginning and its end, since names that begin alike often
    end otherwise. Show the whole one beside it, in a title or a hover."""
    if len(name) <= limit:
        return name
    head, tail = name[: (limit - 1) * 2 // 3], name[-((limit - 1) // 3) :]
    if " " in tail[:-2]:  # begin the end with a word
        tail = tail[tail.index(" ") + 1 :]
    return f"{head.rstrip()}…{tail}"


def all_short(names: Sequence[str], limit: int) -> dict[str, str]:
    """Every name as `short` has it, or whole where two would look alike."""
    said = {name: short(name, limit) for name in names}
    return {name: one if list(said.values()).count(one) == 1 else name for name, one in said.items()}


def class_label(index: int, name: str) -> str:
    """A class's name, unique even where two classes share one."""
    return name if name == str(index) else f"{index} {name}"


def axis_label(index: int, name: str) -> str:
    """The same, short enough for an axis; the number keeps it unique."""
    return class_label(index, short(name, 16))


def others(run: ReportRun) -> str:
    """The classes that stay."""
    left = len(run.setup.classes) - len(run.forget)
    return "the other class" if left == 1 else f"the other {left:,} classes"


def forgotten(run: ReportRun, limit: int = 60) -> str:
    """The forgotten classes of a run, see `class_names`."""
    return class_names(run.names, limit)


def class_names(names: Sequence[str], limit: int = 60) -> str:
    """Classes by name; a bare number is called a class, and of many classes the first few are named."""
    named = [short(f"class {name}" if name.isdecimal() else name, limit) for name in names]
    if len(named) > 4:
        return f"{', '.join(named[:3])} and {len(named) - 3} more classes"
    return listed(named)


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def measure(value: float | None) -> str:
    """A measure of unknown unit: to a thousandth, fewer decimals where it is large."""
    if value is None:
        return "–"
    decimals = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    said = f"{value:,.{decimals}f}"
    return said.lstrip("-") if float(said.replace(",", "")) == 0 else said.replace("-", "−")


def size(value: float | None) -> str:
    """Bytes: `1.2 MB`."""
    if value is None:
        return "–"
    for unit, of in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= of:
            return f"{value / of:.1f} {unit}"
    return f"{value:.0f} B"
