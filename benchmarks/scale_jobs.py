"""Large jobs on 1, 2, 10 and 100 workers, predicted from measured constants; nobody has run them on more than two.

With w workers, a job takes

    T(w) = s + c + max(Q(w), n t, (n b + w r) / F),    and in one process, without Dask,    T(1) = s + all units

s   what one process does alone: listing, checking, writing manifests
c   imports of a worker, once
Q   the queue: units are handed out in order, each to whichever worker is free; phases wait for one another
t   the scheduler's time for a task, n of them in all
b   bytes that a unit reads and writes; r those that a worker reads once; F bytes per second of the shared file system
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dkvb.training.codes import unit_size

WORKERS = (1, 2, 10, 100)
IMPORTS, TASK = 3.5, 0.0023
"""Seconds: c and t, measured by `scale_costs`."""

STORE = 1e9
"""F, bytes per second: what ten gigabits of a network carry. Not measured: it is another on every cluster."""

Phase = Sequence[float]
"""Seconds of each unit, in the order in which they are handed out."""


@dataclass(frozen=True)
class Job:
    """What is to be done, in seconds of one core and in bytes."""

    name: str
    serial: float
    phases: Callable[[int], Sequence[Phase]]
    """Workers -> its phases: some are parted by the number of workers."""
    unit_bytes: float
    worker_bytes: float

    def seconds(self, workers: int) -> float:
        phases = self.phases(workers)
        if workers == 1:
            return self.serial + sum(sum(phase) for phase in phases)
        units = sum(len(phase) for phase in phases)
        store = (units * self.unit_bytes + workers * self.worker_bytes) / STORE
        return self.serial + IMPORTS + max(sum(queue(phase, workers) for phase in phases), units * TASK, store)


def queue(units: Phase, workers: int) -> float:
    """When the last unit is done."""
    free = [0.0] * workers
    for seconds in units:
        heapq.heappush(free, heapq.heappop(free) + seconds)
    return max(free)


def show() -> None:
    """A row a job: hours or minutes, and the share of the workers' time that is work, for each number of workers."""
    columns = "".join(f"{f'{workers} workers':>20}" for workers in WORKERS)
    print(f"\n{'predicted, never run on more than two':44}{columns}")
    for job in JOBS:
        alone = job.seconds(1)
        cells = (f"{_time(job.seconds(w))} ({alone / job.seconds(w) / w:.0%})" for w in WORKERS)
        print(f"{job.name:44}{''.join(f'{cell:>20}' for cell in cells)}")


def _time(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 36_000 else f"{seconds / 3600:.1f} h"


JOBS: list[Job] = []
