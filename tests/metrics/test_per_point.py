"""KLoM and its relatives, against slow loops, scipy, and laws whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dkvb.metrics import klom, klom_lines, margins, references, wasserstein


def slow_klom(unlearned: np.ndarray, oracles: np.ndarray) -> list[float]:
    """A point at a time, by numpy's histogram and scipy's divergence."""
    out = []
    for u, o in zip(np.clip(unlearned, -100, 100).T, np.clip(oracles, -100, 100).T, strict=True):
        edges = np.linspace(min(u.min(), o.min()), max(u.max(), o.max()), 21)
        p, q = np.histogram(u, edges)[0] / len(u), np.histogram(o, edges)[0] / len(o)
        q[p > 0] = np.maximum(q[p > 0], 1e-5)
        out.append(float(stats.entropy(p, q)))
    return out


def test_klom_is_its_definition() -> None:
    rng = np.random.default_rng(1)
    u, o = rng.normal(0.3, 1, (37, 50)), rng.normal(0, 2, (61, 50))
    u[:5, :10] = -np.inf  # cut off at 100
    found = klom(u, o)
    assert found.points == pytest.approx(slow_klom(u, o))
    assert found.mean == pytest.approx(np.mean(slow_klom(u, o)))
    assert found.p95 == pytest.approx(np.quantile(slow_klom(u, o), 0.95))
    assert (found.unlearned, found.oracles) == (37, 61)


TABLE = {
    5: (7.94, 10.18, 8.22, 10.18),
    10: (5.61, 7.98, 6.22, 8.76),
    20: (3.05, 5.03, 3.98, 6.04),
    50: (0.90, 1.77, 1.92, 3.21),
    100: (0.35, 0.66, 1.20, 1.98),
    200: (0.15, 0.28, 0.85, 1.32),
}
"""Models -> mean and 95th percentile of KLoM of N(0, 1) against N(0, 1), and against N(1, 1), by another simulation."""


@pytest.mark.parametrize("models", TABLE)
def test_of_few_models_the_same_law_is_as_far_as_another(models: int) -> None:
    u, o = np.random.default_rng(models).normal(size=(2, models, 2000))
    same, shifted = klom(u, o), klom(u + 1, o)
    assert (same.mean, same.p95, shifted.mean, shifted.p95) == pytest.approx(TABLE[models], rel=0.06, abs=0.03)
    assert same.noise == (models < 50)
    assert ("is noise" in same.sentence) == (models < 50)


def test_klom_of_what_never_differs_and_of_what_never_meets() -> None:
    constant = np.full((60, 3), 2.5)
    assert klom(constant, constant).points.tolist() == [0, 0, 0]
    assert klom(constant, constant + 1).points == pytest.approx(np.log((1 + 1e-5) / 1e-5))  # nearly ln(1e5), the most
    with pytest.raises(ValueError, match="of the same points"):
        klom(constant, constant[:, :2])


def test_margins_are_the_logit_less_the_rest() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (4, 6, 5))
    labels = np.array([0, 1, 2, 3, 4, 0])
    p = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    own = p[:, np.arange(6), labels]
    assert margins(logits, labels) == pytest.approx(np.log(own / (1 - own)))
    assert margins(logits[0], labels) == pytest.approx(np.log(own / (1 - own))[0])
    without = margins(logits[:, :4], labels[:4], without=[4])
    assert without == pytest.approx(margins(logits[:, :4, :4], labels[:4]))
    logits[0, 0] = [-np.inf, 1, 2, 3, 4]
    logits[0, 1] = [-np.inf, 1, *[-np.inf] * 3]
    assert margins(logits, labels)[0, :2].tolist() == [-np.inf, np.inf]
    with pytest.raises(ValueError, match="`references`"):
        margins(logits, labels, without=[2])
    with pytest.raises(ValueError, match="two classes"):
        margins(logits, labels, without=[1, 2, 3, 4])


def test_a_forgotten_class_is_measured_at_the_retained_class_that_oracles_find_likeliest() -> None:
    oracles = np.log([[[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]], [[0.8, 0.02, 0.18], [0.1, 0.8, 0.1]]])
    # without class 0, class 1 has 0.6 and then 0.1, class 2 0.4 and then 0.9
    assert references(oracles, np.array([0, 1]), without=[0]).tolist() == [2, 1]
    assert references(oracles, np.array([2, 1]), without=[0]).tolist() == [2, 1]


def test_lines_compare_equally_many_models() -> None:
    rng = np.random.default_rng(2)
    oracles, alike, originals = rng.normal(size=(200, 300)), rng.normal(size=(120, 300)), rng.normal(2, 1, (110, 300))
    lines = klom_lines(alike, oracles, originals, halvings=8)
    assert lines.models == 100
    assert not lines.noise
    assert lines.unlearned.mean == pytest.approx(lines.null.mean, rel=0.1)
    assert lines.null.mean == pytest.approx(0.35, rel=0.06)  # as of 100 models, not of 200
    assert lines.nothing is not None
    assert lines.nothing.mean > 5 * lines.null.mean
    assert lines.unlearned.low <= lines.unlearned.mean <= lines.unlearned.high < lines.nothing.low
    # one that did nothing is at the do-nothing line
    idle = klom_lines(originals, oracles, originals, halvings=8)
    assert idle.nothing is not None
    assert idle.unlearned.mean == pytest.approx(idle.nothing.mean, rel=0.03)
    few = klom_lines(alike, oracles[:20], halvings=2)
    assert (few.models, few.noise, few.nothing) == (10, True, None)


def test_wasserstein_is_scipys() -> None:
    rng = np.random.default_rng(3)
    u, o = rng.normal(size=(7, 9)), rng.normal(1, 2, (12, 9))
    slow = [stats.wasserstein_distance(a, b) for a, b in zip(u.T, o.T, strict=True)]
    assert wasserstein(u, o) == pytest.approx(slow)
    assert wasserstein(u + 3, u) == pytest.approx(3)
