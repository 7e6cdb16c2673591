"""Numbers and judgements in plain words. Everything said here is computed from the results, whether or not it flatters
them."""

from __future__ import annotations

from dataclasses import dataclass

from dkvb.metrics.intervals import Stat
from dkvb.pages.charts import palette
from dkvb.pages.facts.records import MethodResult, ReportRun, short

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


def spread(stat: Stat | None) -> str:
    """`93.0%`, or over several seeds `93.0% ± 0.2 (sd 0.1)`, a 95% interval and the deviation; a dash where nothing was
    measured."""
    if stat is None:
        return "–"
    return percent(stat.mean) + deviation(stat)


def deviation(stat: Stat | None) -> str:
    """` ± 0.2 (sd 0.1)` in points: half the 95% interval of the mean and the standard deviation over seeds; nothing for
    one seed."""
    if stat is None or stat.sd is None or stat.ci95 is None:
        return ""
    return f" ± {100 * stat.ci95:.1f} (sd {100 * stat.sd:.1f})"


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
    if stat is None:
        return "–"
    value = stat.mean
    if value < 0.095:
        return f"{1000 * value:.0f} ms" if value >= 0.0005 else "< 1 ms"
    if value < 90:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"


def plural(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def others(run: ReportRun) -> str:
    """The classes that stay."""
    left = len(run.setup.classes) - len(run.forget)
    return "the other class" if left == 1 else f"the other {left:,} classes"


def forgotten(run: ReportRun, limit: int = 60) -> str:
    """The forgotten classes, by name; a bare number is called a class."""
    names = [short(f"class {name}" if name.isdecimal() else name, limit) for name in run.names]
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more classes"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def verdict(run: ReportRun, result: MethodResult) -> list[str]:
    """What the numbers say: is it forgotten, is the rest kept, and would the plainest trick have done as well."""
    forget, retain = result.split("after", "forget_test"), result.split("after", "retain_test")
    change = result.change("retain_test")
    if forget is None:
        return ["The forgotten class has no test samples, so forgetting could not be measured."]
    name, chance = forgotten(run), percent(run.chance)
    if forget.mean == 0:
        said = [f"Not one test image of {name} is recognised any more."]
    elif forget.mean <= run.chance:
        said = [
            f"{percent(forget.mean)} of the test images of {name} are still recognised, no more than guessing would"
            f" give ({chance})."
        ]
    else:
        still = f"{percent(forget.mean)} of the test images of {name} are still recognised"
        said = [f"{still}, more than guessing would give ({chance}): it is not forgotten."]
    if change is not None:
        moved = points(change.mean)
        if abs(change.mean) <= CLOSE:
            said.append(f"Accuracy on {others(run)} stays within one point ({moved}).")
        else:
            said.append(
                f"Accuracy on {others(run)} {'rises' if change.mean > 0 else 'falls'} by {moved.lstrip('+−')} points."
            )
    control = run.find("logit-mask", result.setup.model)
    kept = control.split("after", "retain_test") if control else None
    if result.method in palette.MASKING and retain and kept:
        ahead = retain.mean - kept.mean
        if abs(ahead) < 0.0005:
            said.append(
                f"That equals the logit mask, which merely forbids the answer ({percent(kept.mean)} on the rest)."
            )
        elif ahead > 0:
            said.append(
                f"That beats the logit mask, which merely forbids the answer, by {points(ahead).lstrip('+')} points on"
                " the rest."
            )
        else:
            said.append(
                f"Merely forbidding the answer (the logit mask) keeps {percent(kept.mean)} on the rest, "
                f"{points(-ahead).lstrip('+')} points more: by accuracy alone, masking does not beat it."
            )
    return said


@dataclass(frozen=True)
class Missing:
    """Something a page would show, and the command that makes it."""

    what: str
    command: str


def missing(run: ReportRun, heads: int) -> list[Missing]:
    """What this run lacks. `heads`: linear heads trained on the same embedding."""
    what = _forget_flags(run)
    have = {(result.method, result.setup.model) for result in run.methods}
    gaps = []
    if not heads:
        gaps.append(Missing("No linear head to compare with", "dkvb train"))
    for method in ("activations", "examples", "logit-mask"):
        if (method, "dkvb") not in have:
            gaps.append(
                Missing(f"No result for “{palette.look(method).name}”", f"dkvb unlearn --method {method}{what}")
            )
        if method in palette.MASKING and (method, "dkvb") not in run.sweeps:
            gaps.append(
                Missing(f"No curve for “{palette.look(method).name}”", f"dkvb unlearn --method {method} --sweep{what}")
            )
    if "scrub" not in {method for method, _ in have}:
        gaps.append(Missing("No fine-tuning baseline (SCRUB)", f"dkvb unlearn --method scrub{what}"))
    masked = next((method for method in palette.MASKING if (method, "dkvb") in have), None)
    if masked and not run.retraining:
        gaps.append(
            Missing(
                "No retraining after unlearning (section 5.4)", f"dkvb unlearn --method {masked} --retrain 10{what}"
            )
        )
    seeds = len(run.setup.seeds)
    for result in run.methods:
        done = {found["seed"] for found in result.results}
        lacking = sorted({trained.seed for trained in run.setup.seeds} - done)
        if lacking and result.setup.model == "dkvb":
            which = ", ".join(map(str, lacking))
            command = f"dkvb unlearn --method {result.method} --seed {lacking[0]}{what}"
            gaps.append(Missing(f"“{result.label}” has {len(done)} of {seeds} seeds (not {which})", command))
    return gaps


def _forget_flags(run: ReportRun) -> str:
    """The flags that name this run's classes; none where a recipe finds the class by itself, as the best learned."""
    mistakes = [trained.artifact.result["misclassified_test"] for trained in run.setup.seeds]
    if len(run.forget) == 1 and all(
        run.forget[0] == min(range(len(wrong)), key=wrong.__getitem__) for wrong in mistakes
    ):
        return ""
    # a number is read as a name first, so a class that is called by a number goes by its name
    names = [name if name.isdecimal() else str(index) for index, name in zip(run.forget, run.names, strict=True)]
    return "".join(f" --forget {name}" for name in names)
