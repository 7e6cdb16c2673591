"""The report's answer in a sentence or two: was it forgotten, and what did it cost; and how deletion requests stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dkvb.pages.facts.runs import MethodResult, ReportRun
from dkvb.pages.facts.verdict import verdict
from dkvb.pages.facts.words import CLOSE, forgotten, listed, percent, plural, points
from dkvb.records.requests import RequestRow


@dataclass(frozen=True)
class _Measured:
    """A run with the result that its page is about."""

    run: ReportRun
    result: MethodResult
    left: float
    """Test accuracy on the forgotten class after unlearning."""

    @property
    def gone(self) -> bool:
        """Whether the class is recognised no more often than by guessing."""
        return self.left <= self.run.chance

    @property
    def cost(self) -> float | None:
        """Change of the accuracy on the classes that stay."""
        change = self.result.change("retain_test")
        return change.mean if change else None


def headline(runs: Sequence[ReportRun], audits: int = 0, requests: int = 0) -> str:
    """What all runs of a report together show; of one run what its own page says first. Without runs, what else there
    is: audits, and requests, which speak for themselves.

    Args:
        audits, requests: how many of them the report has.
    """
    if not runs and audits:
        whose = "An audit says" if audits == 1 else f"{audits} audits say"
        return f"{whose} how close each method comes to retraining. No method was run by itself yet."
    if not runs:
        return "" if requests else "Nothing has been forgotten yet."
    leads = [(run, run.lead) for run in runs]
    if len(runs) == 1 and leads[0][1]:
        return " ".join(verdict(runs[0], leads[0][1]))
    afters = [(run, lead, lead.split("after", "forget_test") if lead else None) for run, lead in leads]
    measured = [_Measured(run, lead, after.mean) for run, lead, after in afters if lead and after]
    if not measured:
        return f"{plural(len(runs), 'run', 'runs')}, of which none could be measured on test samples yet."
    sentences = [_gone(measured), _price(measured), _unmeasured(len(runs) - len(measured))]
    return " ".join(sentence for sentence in sentences if sentence)


def _gone(measured: Sequence[_Measured]) -> str:
    left = [one for one in measured if not one.gone]
    if not left:
        worst = max(one.left for one in measured)
        how = "not one test image is recognised" if worst == 0 else f"at most {percent(worst)} are still recognised"
        where = "both" if len(measured) == 2 else f"all {len(measured)}"
        return f"Forgotten in {where} runs: of the forgotten classes {how}."
    named = [f"{forgotten(one.run)} ({percent(one.left)} still recognised)" for one in left[:3]]
    more = f" and {len(left) - 3} more" if len(left) > 3 else ""
    return f"Forgotten in {len(measured) - len(left)} of {len(measured)} runs, not in: {listed(named)}{more}."


def _price(measured: Sequence[_Measured]) -> str:
    costs = [(one.cost, one) for one in measured if one.cost is not None]
    if not costs:
        return ""
    cost, most = min(costs, key=lambda pair: pair[0])
    if cost >= 0:
        return "Accuracy on the classes that stay falls in none of them."
    if cost >= -CLOSE:
        return f"Accuracy on the classes that stay falls by no more than one point anywhere ({points(cost)} at worst)."
    lost = points(-cost).lstrip("+")
    return f"The classes that stay lose most, {lost} points, where {forgotten(most.run)} is forgotten."


def _unmeasured(runs: int) -> str:
    return f"{plural(runs, 'run', 'runs')} could not be measured." if runs else ""


def requested(rows: Sequence[RequestRow]) -> str:
    """How deletion requests stand, in a sentence; "" where there are none."""
    if not rows:
        return ""
    open_ = [row for row in rows if row.answered is None]
    late = [row for row in open_ if row.overdue]
    said = f"{plural(len(rows), 'deletion request', 'deletion requests')}, "
    said += f"{len(open_)} still to be answered" if open_ else "all answered"
    if late:
        return f"{said}, {len(late)} of them past the deadline."
    return f"{said}, the next by {min(row.deadline for row in open_)}." if open_ else f"{said}."
