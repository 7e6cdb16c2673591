"""Large jobs on 1, 2, 10 and 100 workers, predicted from measured constants; nobody has run them on more than two.

With w workers, a job takes

    T(w) = s + c + max(Q(w), n t, (n b + w r) / F),    and in one process, without Dask,    T(1) = s + all units

s   what one process does alone: listing, checking, writing manifests
c   what a worker does once: imports, and reading what all of its units share
Q   the queue: units are handed out in order, each to whichever worker is free; phases wait for one another
t   the scheduler's time for a task, n of them in all
b   bytes that a unit reads and writes; r those that a worker reads once; F bytes per second of the shared file system
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dkvb.audit.ahead import TURNS
from dkvb.training.codes import unit_size

WORKERS = (1, 2, 10, 100)
TASK = 0.002
"""Seconds: t, measured by `scale_costs`."""

STORE = 1e9
"""F, bytes per second: what ten gigabits of a network carry. Not measured: it is another on every cluster."""

Phase = Sequence[float]
"""Seconds of each unit, in the order in which they are handed out."""


@dataclass(frozen=True)
class Job:
    """What is to be done, in seconds of one core and in bytes."""

    name: str
    serial: float
    start: float
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
        return self.serial + self.start + max(sum(queue(phase, workers) for phase in phases), units * TASK, store)


def queue(units: Phase, workers: int) -> float:
    """When the last unit is done."""
    free = [0.0] * workers
    for seconds in units:
        heapq.heappush(free, heapq.heappop(free) + seconds)
    return max(free)


# seconds of one core, measured by `scale_units`; of audits on clip-food10, settings of `dkvb init features`
IMAGE, IMAGE_BYTES, SHARD_BYTES = 0.140, 110e3, 17e6
CODEBOOK, PASS, FEATURE_BYTES, CODE_BYTES = 36.4, 2.3, 2.73e9, 2.7e6
UNLEARN = {"votes": 109.4, "activations": 117.6, "examples": 125.4, "scrub": 9.3, "logit-mask": 6.7}
MODEL = {"values": 0.72, "linear": 0.10, "ridge": 1.0}
CHOICES = (7.2, 6.6, 2.6, 1.8, *(0.3,) * 20)
UNLEARNED = (*(3.8,) * 3, 2.0, 2.0, 1.4, 1.0, 0.7, 0.1, *(0.1,) * 21, 0.5)
MEASURED = (*(7.0,) * 11, *(2.0,) * 23, *(1.5,) * 3)
"""A choice of settings, an original unlearned, measures of an entry: of each method that has them."""


def embed(workers: int) -> list[Phase]:
    train, test = divmod(1_281_167, 8192), divmod(50_000, 8192)
    rows = [8192] * train[0] + [train[1]] + [8192] * test[0] + [test[1]]
    return [[IMAGE * count for count in rows]]


def quantize(workers: int) -> list[Phase]:
    size = 32 if workers == 1 else unit_size(256, 32, workers)  # 32: as many as 4 GiB hold
    return [[PASS + CODEBOOK * size] * (256 // size)]


def each(workers: int) -> list[Phase]:
    return [list(UNLEARN.values()) * 100]


def audit(workers: int) -> list[Phase]:
    models = [seconds for seconds in MODEL.values() for _ in range(200)]
    if len(MEASURED) >= TURNS * workers:  # entries stay whole
        rest = sum(CHOICES) + 50 * sum(UNLEARNED) + sum(MEASURED)
        whole = [50 * seconds + rest_of for seconds, rest_of in zip(UNLEARNED, MEASURED, strict=False)]
        return [models, [*whole, rest - sum(whole)]]
    return [models, CHOICES, [seconds for seconds in UNLEARNED for _ in range(50)], MEASURED]


JOBS = [
    Job("embed: ImageNet-1k, CLIP ViT-B/32 on cores", 25, 10, embed, 8192 * IMAGE_BYTES + SHARD_BYTES, 0),
    Job("quantize: its 1.33 million features, C 256", 5, 3, quantize, FEATURE_BYTES + CODE_BYTES, 0),
    Job("unlearn --each: 100 classes, 5 methods", 7, 8, each, 1e6, 1.5e9),
    Job("audit: 100 oracles, 3 kinds, 31 methods", 7, 6, audit, 1e6, 1e8),
]


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
