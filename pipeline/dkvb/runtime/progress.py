"""Progress on stderr: live bars on a terminal, a line every two seconds and one at the end of each unit otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dkvb.runtime.visible import visible

EVERY = 2.0


_quiet = False


def silence(quiet: bool = True) -> None:
    """Turn all progress off or on (for use as a library)."""
    global _quiet
    _quiet = quiet


@contextmanager
def silenced() -> Iterator[None]:
    """No progress within."""
    before = _quiet
    silence()
    try:
        yield
    finally:
        silence(before)


_kept: list[str] | None = None
"""Lines that are kept for later."""


@contextmanager
def recorded() -> Iterator[list[str]]:
    """The lines of what is done within, which are said by whoever waits for it (`note`)."""
    global _kept
    before, _kept = _kept, []
    try:
        yield _kept
    finally:
        _kept = before


def note(text: str) -> None:
    """One line for the person who waits; names in it may hold any character."""
    if _quiet:
        return
    if _kept is not None:
        _kept.append(text)
        return
    text = visible(text)
    if sys.stderr.isatty():
        from rich.console import Console

        Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)
    else:
        print(text, file=sys.stderr, flush=True)


class Task:
    """Progress of one unit of work. `advance(n)` counts; rate and time left follow."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = self.found = 0
        self.started = self.spoken = time.monotonic()

    def advance(self, n: int = 1, detail: str = "") -> None:
        self.done += n
        now = time.monotonic()
        if now - self.spoken >= EVERY and self.done < self.total and _kept is None:
            self.spoken = now
            note(
                f"{self.label}: {self.done:,}/{self.total:,} {self.unit}{self.pace()}{' · ' + detail if detail else ''}"
            )

    def skip(self, n: int) -> None:
        """Count what an earlier run has done; it says nothing about this run's pace."""
        self.found += n
        self.done += n

    @property
    def rate(self) -> float:
        """Units a second."""
        return (self.done - self.found) / max(time.monotonic() - self.started, 1e-9)

    def pace(self) -> str:
        rate = self.rate
        left = (self.total - self.done) / rate if rate else 0.0
        return f" · {rate:,.3g}/s · {clock(left)} left"

    def end(self) -> None:
        before = f" ({self.found:,} were done before)" if self.found else ""
        note(
            f"{self.label}: {self.done - self.found:,} {self.unit} in {clock(time.monotonic() - self.started)}{before}"
        )


class LiveTask(Task):
    """The same on a terminal, drawn by rich."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        super().__init__(label, total, unit)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit + " {task.fields[detail]}", markup=False),
            TimeRemainingColumn(),
        )
        self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self.bar.start()
        self.id = self.bar.add_task(visible(label), total=total, detail="")

    def advance(self, n: int = 1, detail: str = "") -> None:
        self.done += n
        self.bar.update(self.id, advance=n, detail=visible(f"· {self.rate:,.3g}/s{' · ' + detail if detail else ''}"))

    def skip(self, n: int) -> None:
        super().skip(n)
        self.bar.reset(self.id, completed=self.done)

    def end(self) -> None:
        self.bar.stop()
        super().end()


def show_cursor() -> None:
    """Give the terminal its cursor back, after a process that may have been killed while it drew a bar."""
    if sys.stderr.isatty():
        from rich.console import Console

        Console(stderr=True).show_cursor()


@contextmanager
def task(label: str, total: int, unit: str) -> Iterator[Task]:
    """Show the progress of `total` units under a label."""
    current = (LiveTask if sys.stderr.isatty() and not _quiet and _kept is None else Task)(label, total, unit)
    try:
        yield current
    except BaseException:
        if isinstance(current, LiveTask):
            current.bar.stop()
        raise
    current.end()


def clock(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
