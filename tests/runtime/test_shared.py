"""What units share is opened once by a thread, and never taken for what an earlier piece of work shared."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from dkvb.recipe import load
from dkvb.runtime import parallel
from dkvb.runtime.shared import Shared, let_go


def test_a_thread_opens_what_is_shared_once() -> None:
    one, same = Shared.of([1], "a"), Shared.of([1], "a")
    rows, name = one.open()
    rows.append(2)
    assert (rows, name) == ([1, 2], "a")
    assert one.open()[0] is rows, "what has been read is kept for the next unit"
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(one.open).result()[0] == [1], "objects are one thread's"
    assert same.open()[0] == [1], "the same bytes, and another piece of work"
    let_go()
    assert one.open()[0] == [1]


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_workers_of_a_local_cluster_share_the_cores() -> None:
    run = load("digits").with_(run={"workers": 2}).run
    assert set(parallel.spread(_cores, [0, 1], run)) == {max(1, parallel.cores() // 2)}


def _cores(unit: int) -> int:
    return parallel.cores()
