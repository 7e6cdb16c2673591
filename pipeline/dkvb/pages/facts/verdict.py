"""What the numbers of a run say, in sentences: all of it computed from the results, whether or not it flatters them."""

from __future__ import annotations

from dkvb.pages.facts.methods import CONTROL
from dkvb.pages.facts.runs import MethodResult, ReportRun
from dkvb.pages.facts.words import CLOSE, forgotten, others, percent, points


def verdict(run: ReportRun, result: MethodResult) -> list[str]:
    """Is it forgotten, is the rest kept, and would the plainest trick have done as well: a sentence each."""
    forget = result.split("after", "forget_test")
    if forget is None:
        return ["The forgotten class has no test samples, so forgetting could not be measured."]
    sentences = (_is_forgotten(run, forget.mean), _rest_is_kept(run, result), _against_control(run, result))
    return [sentence for sentence in sentences if sentence]


def _is_forgotten(run: ReportRun, left: float) -> str:
    name, chance = forgotten(run), percent(run.chance)
    if left == 0:
        return f"Not one test image of {name} is recognised any more."
    still = f"{percent(left)} of the test images of {name} are still recognised"
    if left <= run.chance:
        return f"{still}, no more than guessing would give ({chance})."
    return f"{still}, more than guessing would give ({chance}): it is not forgotten."


def _rest_is_kept(run: ReportRun, result: MethodResult) -> str:
    change = result.change("retain_test")
    if change is None:
        return ""
    moved = points(change.mean)
    if abs(change.mean) <= CLOSE:
        return f"Accuracy on {others(run)} stays within one point ({moved})."
    return f"Accuracy on {others(run)} {'rises' if change.mean > 0 else 'falls'} by {moved.lstrip('+−')} points."


def _against_control(run: ReportRun, result: MethodResult) -> str:
    control = run.find(CONTROL, result.setup.model)
    retain, kept = result.split("after", "retain_test"), control.split("after", "retain_test") if control else None
    if result.method not in run.masking or not retain or not kept:
        return ""
    ahead = retain.mean - kept.mean
    if abs(ahead) < 0.0005:
        return f"That equals the logit mask, which merely forbids the answer ({percent(kept.mean)} on the rest)."
    if ahead > 0:
        better = points(ahead).lstrip("+")
        return f"That beats the logit mask, which merely forbids the answer, by {better} points on the rest."
    return (
        f"Merely forbidding the answer (the logit mask) keeps {percent(kept.mean)} on the rest, "
        f"{points(-ahead).lstrip('+')} points more: by accuracy alone, masking does not beat it."
    )
