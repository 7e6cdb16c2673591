"""What a page would show and does not, and the command that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dkvb.pages.facts import methods
from dkvb.pages.facts.paper_parts import Part
from dkvb.pages.facts.paper_tables import unmeasured
from dkvb.pages.facts.runs import ReportRun


@dataclass(frozen=True)
class Missing:
    """Something a page would show, and the command that makes it."""

    what: str
    command: str


def missing(run: ReportRun, heads: int) -> list[Missing]:
    """What a run lacks. `heads`: linear heads trained on the same embedding."""
    flags = run.flags
    gaps = [] if heads else [Missing("No linear head to compare with", "dkvb train")]
    return [*gaps, *_missing_methods(run, flags), *_missing_seeds(run, flags)]


def _missing_methods(run: ReportRun, flags: str) -> list[Missing]:
    gaps = []
    there = {(result.method, result.setup.model) for result in run.methods}
    for method in methods.by_default("masking", "control"):
        name = methods.title(method)
        if (method, "dkvb") not in there:
            gaps.append(Missing(f"No result for “{name}”", f"dkvb unlearn --method {method}{flags}"))
        if method in run.masking and not run.sweep(method):
            gaps.append(Missing(f"No curve for “{name}”", f"dkvb unlearn --method {method} --sweep{flags}"))
    for method in methods.by_default("training"):
        if method not in {done for done, _ in there}:
            what = f"No fine-tuning baseline ({methods.title(method)})"
            gaps.append(Missing(what, f"dkvb unlearn --method {method}{flags}"))
    masked = next((method for method in methods.masking() if (method, "dkvb") in there), None)
    if masked and not run.retraining:
        what = "No retraining after unlearning (section 5.4)"
        gaps.append(Missing(what, f"dkvb unlearn --method {masked} --retrain 10{flags}"))
    return gaps


def _missing_seeds(run: ReportRun, flags: str) -> list[Missing]:
    gaps = []
    trained = {trained.seed for trained in run.setup.seeds}
    for result in run.methods:
        done = {one.seed for one in result.results}
        lacking = sorted(trained - done)
        if lacking and result.setup.model == "dkvb":
            what = (
                f"“{result.label}” has {len(done)} of {len(run.setup.seeds)} seeds (not {', '.join(map(str, lacking))})"
            )
            gaps.append(Missing(what, f"dkvb unlearn --method {result.method} --seed {lacking[0]}{flags}"))
    return gaps


def missing_of_paper(parts: Sequence[Part]) -> list[Missing]:
    """What of the paper has not been measured here."""
    gaps = [Missing(f"{one.name}: not run here.", f"dkvb reproduce --only {one.recipe}") for one in unmeasured(parts)]
    for part in parts:
        if part.run is None:
            gaps.append(Missing(f"{part.title}: nothing unlearned yet.", "dkvb unlearn --sweep"))
        else:
            gaps += _missing_experiments(part, part.run)
    return gaps


def _missing_experiments(part: Part, run: ReportRun) -> list[Missing]:
    gaps = []
    if not run.retraining:
        what = f"{part.title}: Figures 4 and 6, training on after unlearning."
        gaps.append(Missing(what, "dkvb unlearn --retrain 10"))
    there = {result.method for result in run.methods}
    for method in part.published.changes if part.published else methods.by_default("masking", "training"):
        name = methods.title(method)
        if method not in there:
            gaps.append(Missing(f"{part.title}: {name}.", f"dkvb unlearn --method {method}"))
        elif method in run.masking and not run.sweep(method):
            gaps.append(Missing(f"{part.title}: the curve of {name}.", f"dkvb unlearn --sweep --method {method}"))
    if not part.attacks:
        gaps.append(Missing(f"{part.title}: Table 3, membership inference.", "dkvb membership"))
    return gaps
