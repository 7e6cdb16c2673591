"""The search for the smallest N."""

from __future__ import annotations

import numpy as np
import pytest

from dkvb.evaluation.least_n import least_n


@pytest.mark.parametrize("most", [1, 7, 100, 131_072, 1_048_576])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.12, 0.3, 0.9, 1.0])
def test_finds_the_smallest_to_one_percent_in_few_evaluations(most: int, share: float) -> None:
    wanted = max(1, round(share * most))
    asked: list[int] = []

    def reaches(n: int) -> bool:
        asked.append(n)
        return n >= wanted

    n = least_n(reaches, most)
    assert n is not None
    assert wanted <= n <= wanted + max(0, 0.01 * n)
    assert len(asked) == len(set(asked)), "no N is looked at twice"
    assert len(asked) <= 16


def test_takes_about_twelve_evaluations_where_n_usually_is() -> None:
    counts = []
    for share in np.geomspace(0.01, 0.9, 60):
        asked: list[int] = []
        least_n(lambda n, asked=asked, share=share: not asked.append(n) and n >= share * 131_072, 131_072)
        counts.append(len(asked))
    assert np.mean(counts) <= 11
    assert max(counts) <= 13


def test_says_so_where_nothing_reaches_it() -> None:
    assert least_n(lambda n: False, 1000) is None
    assert least_n(lambda n: True, 0) is None


def test_goes_on_from_an_n_that_is_known_not_to_do() -> None:
    n = least_n(lambda n: n >= 520, 100_000, above=500, first=510)
    assert n is not None
    assert 520 <= n <= 525
