"""What an interval shows about a limit: a check is passed or failed where all of the interval lies on one side of it,
and shows nothing where the interval crosses it."""

from __future__ import annotations

from dkvb.records.verdict import CheckState


def at_most(limit: float, low: float, high: float) -> CheckState:
    """Of what must not be above a limit, from the ends of its interval."""
    if high <= limit:
        return "passed"
    return "failed" if low > limit else "not-shown"


def at_least(limit: float, low: float, high: float) -> CheckState:
    """Of what must not be below a limit."""
    return at_most(-limit, -high, -low)
