"""A command starts its local workers once, and more of them where later work has more units."""

from __future__ import annotations

import os

import pytest

from dkvb.recipe import Recipe, load
from dkvb.runtime import parallel
from dkvb.runtime.cluster import at_once, client_of, kept_workers


def _process(held: list[int], unit: int) -> tuple[int, int]:
    held.append(unit)
    return os.getpid(), len(held)


@pytest.fixture
def three() -> Recipe:
    return load("digits").with_(run={"workers": 3})


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_local_workers_are_kept_and_added_to(three: Recipe) -> None:
    with kept_workers():
        first = list(parallel.spread(_process, [0, 1, 2, 3], three.with_(run={"workers": 1}).run, []))
        assert sorted(count for _, count in first) == [1, 2, 3, 4], "what units share is opened once by a worker"
        second = list(parallel.spread(_process, [0], three.run, []))
        assert second == [(first[0][0], 1)], "by the same worker, which has let go of what it shared before"
        with client_of(three.run, 3) as client:
            client.wait_for_workers(3, timeout=60)
    assert at_once(three.run) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_local_workers_keep_the_memory_that_they_free(three: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask's own setting, under which arrays that come and go take two to three times as long."""
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    with client_of(three.run, 1) as client:
        assert list(client.run(os.getenv, "MALLOC_TRIM_THRESHOLD_").values()) == [None]
        assert list(client.run(os.getenv, "OMP_NUM_THREADS").values()) == ["1"]
