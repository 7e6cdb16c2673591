"""What units share is opened once by a thread, and never taken for what an earlier piece of work shared."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

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
