"""Means and intervals over seeds."""

from __future__ import annotations

import pytest

from dkvb.metrics.intervals import stat


def test_the_interval_is_students():
    found = stat([0.9, 0.92, 0.97])
    assert found.ci95 == pytest.approx(4.302653 * found.sd / 3**0.5)
    assert stat([0.5]).ci95 is None
