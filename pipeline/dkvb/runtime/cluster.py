"""Clients of the Dask workers of a run: those of a running scheduler, or local ones, which a command starts once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from dkvb.errors import DkvbError

if TYPE_CHECKING:  # every command imports this
    from dkvb.recipe import Run

PATIENCE = 10.0
"""Seconds to wait for a scheduler's answer."""


MEMORY_KEPT = {"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}
"""Dask has its workers give memory back as soon as it is free, and ask for it again: arrays that come and go, as in all
work here, then take two to three times as long."""


class Local:
    """Local workers, started when they are first needed and ended with a stack of contexts."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack, self._workers = stack, 0
        self._cluster: Any = None
        self._client: Any = None

    def client(self, workers: int) -> Any:
        """Of so many workers, or more where there have been more."""
        if self._client is None:
            import dask
            from distributed import Client, LocalCluster

            self._stack.enter_context(dask.config.set(MEMORY_KEPT))
            started: dict[str, Any] = {
                "n_workers": workers,
                "threads_per_worker": 1,
                "processes": True,
                "dashboard_address": None,
                # what it serves without a dashboard: at any port, since another command may have a cluster as well
                "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"},
                "silence_logs": logging.CRITICAL,
            }
            self._cluster = self._stack.enter_context(LocalCluster(**started))
            self._client = self._stack.enter_context(Client(self._cluster, timeout=PATIENCE))
        elif workers > self._workers:
            self._cluster.scale(workers)
        self._workers = max(workers, self._workers)
        return self._client


_KEPT: ContextVar[Local | None] = ContextVar("kept", default=None)


@contextmanager
def kept_workers() -> Iterator[None]:
    """Local workers that are started within this context stay until its end, for all work that is spread in it: it
    takes seconds to start them and for them to import what they need."""
    with ExitStack() as stack:
        before = _KEPT.set(Local(stack))
        try:
            yield
        finally:
            _KEPT.reset(before)


@contextmanager
def client_of(run: Run, units: int) -> Iterator[Any]:
    """A client of a run's workers, no more of them than there are units of work.

    Raises:
        DkvbError: the scheduler does not answer.
    """
    with ExitStack() as stack:
        if run.scheduler is not None:
            yield stack.enter_context(_answering(run.scheduler))
        else:
            yield (_KEPT.get() or Local(stack)).client(min(run.workers, units))


def lives_on(run: Run) -> bool:
    """Whether the workers of a run are there when a piece of work is done."""
    return run.scheduler is not None or _KEPT.get() is not None


def _answering(address: str) -> Any:
    from distributed import Client

    try:
        return Client(address, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise DkvbError(
            f"The Dask scheduler {address} does not answer ({error}): start it, or leave --scheduler out."
        ) from None


def at_once(run: Run) -> int:
    """Units that a run's workers have in hand at a time, now, and 1 at least.

    Raises:
        DkvbError: the scheduler does not answer.
    """
    if run.scheduler is None:
        return run.workers
    with _answering(run.scheduler) as client:
        return max(1, sum(client.nthreads().values()))
