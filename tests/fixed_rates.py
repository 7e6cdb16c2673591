"""Rates of no machine, for tests of what is made of rates."""

from __future__ import annotations

import pytest

from dkvb.experiments import estimates
from dkvb.experiments.rates import Rates

RATES = Rates(
    fit=1e-6,
    search=2e-6,
    lists=5e-6,
    sweep=4e-6,
    masked=3e-6,
    step=1e-3,
    decode=1e-5,
    head_step=2e-3,
    head_pass=1e-5,
    slowdown=2.0,
)


def fix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans without the seconds that measuring this machine takes."""
    monkeypatch.setattr(estimates, "measure", lambda shape: RATES)
