"""How codebooks are parted between workers."""

from __future__ import annotations

import pytest

from dkvb.bottleneck.projection import groups, whole_products
from dkvb.training.codes import unit_size


@pytest.mark.parametrize(
    ("codebooks", "workers", "size"), [(256, 2, 8), (256, 10, 4), (256, 100, 4), (8, 100, 1), (16, 10, 2)]
)
def test_more_workers_take_fewer_codebooks_at_a_time(codebooks: int, workers: int, size: int) -> None:
    assert unit_size(codebooks, 64, workers) == size


def test_no_more_than_memory_holds() -> None:
    assert unit_size(256, 4, 1) == 4


def test_projected_are_always_the_same_codebooks_together() -> None:
    assert [whole_products(group, 10) for group in groups(10, 1)[3:]] == [
        range(4),
        *[range(4, 8)] * 4,
        *[range(8, 10)] * 2,
    ]
    assert whole_products(range(4, 10), 10) == range(4, 10)
