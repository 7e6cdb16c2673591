"""Units of work spread over threads here or over Dask worker processes; results never depend on how many there are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread_per_worker(threads: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """A pool of one thread a core, with BLAS and OpenMP held to one thread each so that they don't multiply."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), ThreadPoolExecutor(threads or cores()) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def in_order(pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """Like `map`, but at most `ahead` results wait in memory."""
    waiting: list[Any] = []
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.pop(0).result()
    while waiting:
        yield waiting.pop(0).result()


def spread(function: Callable[..., R], units: list[Any], workers: int, *args: Any) -> Iterator[R]:
    """Run `function(*args, unit)` for every unit, here one after the other or on `workers` Dask processes, in any order.

    A unit whose process dies is given to another one. `function` must be importable and its arguments picklable.
    """
    if workers == 1 or len(units) == 1:
        for unit in units:
            yield function(*args, unit)
        return
    from distributed import Client, LocalCluster, as_completed

    count = min(workers, len(units))
    settings: dict[str, Any] = {"n_workers": count, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**settings, silence_logs=40) as cluster, Client(cluster) as client:
        futures = [client.submit(function, *args, unit, pure=False, retries=2) for unit in units]
        for future in as_completed(futures):
            yield future.result()
            future.release()
