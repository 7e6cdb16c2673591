"""Units of work spread over threads here or over Dask worker processes; results never depend on how many there are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from dkvb.errors import DkvbError
from dkvb.recipe import Recipe, Run
from dkvb.runtime import progress
from dkvb.runtime.cluster import client_of, lives_on
from dkvb.runtime.shared import Shared, let_go
from dkvb.runtime.threads import one_thread

T = TypeVar("T")
R = TypeVar("R")

FEW = 2**17
"""Numbers of a task up to which two threads that pass Python's lock to and fro take longer than one."""


_share: int | None = None
"""Cores that a worker of a local cluster is to keep to."""


def cores() -> int:
    """Processor cores this process may use; in a worker of a local cluster, its share of them."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return allowed if _share is None else min(_share, allowed)


class Here(ThreadPoolExecutor):
    """A pool without threads: what is handed in has been done by the time it is."""

    def submit(self, function: Callable[..., R], /, *args: Any, **named: Any) -> Future[R]:
        done: Future[R] = Future()
        try:
            done.set_result(function(*args, **named))
        except Exception as error:
            done.set_exception(error)
        return done


@contextmanager
def one_thread_per_worker(threads: int | None = None, numbers: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """A pool of one thread a core, with BLAS and OpenMP held to one thread each so that they don't multiply.

    Args:
        threads: how many, where not one a core.
        numbers: how many of them a step of the work goes through, where that is known; up to `FEW` the work is done
            right here, without threads.
    """
    few = numbers is not None and numbers <= FEW
    workers = Here(1) if few else ThreadPoolExecutor(threads or cores())
    with one_thread(), workers as pool:
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


def spread(function: Callable[..., R], units: Sequence[Any], run: Run, *args: Any) -> Iterator[R]:
    """Run `function(*args, unit)` for every unit on Dask workers, a local cluster of them or those of a running
    scheduler.

    Results come in any order. A unit whose worker dies is given to another. `function` must be importable, its
    arguments picklable; a worker's thread opens them once, for all units that it is given.

    Raises:
        DkvbError: the scheduler does not answer, or workers keep dying.
    """
    from distributed import KilledWorker, as_completed

    # workers of a scheduler have the cores that they were given
    share = max(1, cores() // min(run.workers, len(units))) if run.scheduler is None else None
    with client_of(run, len(units)) as client:
        if run.scheduler is not None:
            progress.note(f"working on {len(client.scheduler_info()['workers'])} workers of {run.scheduler}")
        shared = Shared.of(function, *args)
        futures = [client.submit(_one, shared, share, unit, pure=False) for unit in units]
        try:
            for future in as_completed(futures):
                yield future.result()
                future.release()
            if lives_on(run):
                client.run(let_go, on_error="ignore")
        except KilledWorker as error:
            raise DkvbError(
                f"Workers keep dying on the same unit of work ({error}): look at their logs; memory is the usual cause."
            ) from None


def _one(shared: Shared, share: int | None, unit: Any) -> Any:
    global _share
    _share = share
    function, *args = shared.open()
    return function(*args, unit)


def each_unit(function: Callable[..., R], units: Sequence[Any], recipe: Recipe, *args: Any) -> list[R]:
    """`function(recipe, *args, unit)` for every unit (a model, a method on a forget set), spread over processes where
    the recipe asks for them.

    Returns:
        Results in the order of the units.
    """
    if not distributed_run(recipe.run) or len(units) < 2:
        return [function(recipe, *args, unit) for unit in units]
    alone = recipe.with_(run={"workers": 1, "scheduler": None})
    with progress.task(f"{function.__module__.rpartition('.')[2]}, on workers", len(units), "units") as task:
        results = {}
        for place, result in spread(_quietly, list(enumerate(units)), recipe.run, function, alone, args):
            results[place] = result
            task.advance()
    return [results[place] for place in range(len(units))]


def _quietly(
    function: Callable[..., R], recipe: Recipe, args: tuple[Any, ...], numbered: tuple[int, Any]
) -> tuple[int, R]:
    progress.silence()
    place, unit = numbered
    return place, function(recipe, *args, unit)


def distributed_run(run: Run) -> bool:
    """Whether a run is to be spread over processes."""
    return run.workers > 1 or run.scheduler is not None
