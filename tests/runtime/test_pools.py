"""Where work is done: in threads, or by the caller where it is little; and what comes of it."""

import threading

import pytest

from dkvb.runtime.parallel import FEW, in_order, one_thread_per_worker


def _where(_: int) -> int:
    return threading.get_ident()


@pytest.mark.parametrize(("numbers", "here"), [(FEW, True), (FEW + 1, False), (None, False)])
def test_little_work_is_done_by_the_caller(numbers: int | None, here: bool) -> None:
    with one_thread_per_worker(numbers=numbers) as pool:
        found = {*pool.map(_where, range(5)), *in_order(pool, _where, range(5), ahead=2)}
    assert (found == {threading.get_ident()}) == here


def test_what_fails_without_threads_fails_as_with_them() -> None:
    with one_thread_per_worker(numbers=0) as pool:
        failed = pool.submit(int, "x")
        assert pool.submit(int, "7").result() == 7
        with pytest.raises(ValueError, match="invalid literal"):
            failed.result()


def test_libraries_have_one_thread_meanwhile_and_theirs_again_afterwards() -> None:
    import faiss
    from threadpoolctl import threadpool_info

    faiss.omp_set_num_threads(2)
    with one_thread_per_worker():
        assert {library["num_threads"] for library in threadpool_info()} == {1}
    assert faiss.omp_get_max_threads() == 2
