"""Means and intervals over seeds."""

from __future__ import annotations

import pytest

from dkvb.metrics.intervals import stat


def test_the_interval_is_students():
    found = stat([0.9, 0.92, 0.97])
    assert found.ci95 == pytest.approx(4.302653 * found.sd / 3**0.5)
    assert stat([0.5]).ci95 is stat([0.5]).ends() is None


def test_few_seeds_have_a_range_and_more_an_interval_that_stays_a_share():
    assert stat([0.0, 0.0, 1.0]).ends(0, 1) == (0.0, 1.0), "not 33.3% ± 143.4"
    found = stat([0.0, 0.0, 0.0, 1.0])
    assert found.ends(0, 1) == (0.0, 1.0)
    assert found.ends()[0] < 0
