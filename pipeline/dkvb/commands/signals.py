"""SIGTERM, as job schedulers and `docker stop` send it: a command ends as it does on Ctrl-C."""

from __future__ import annotations

import signal
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM has come; what holds for an interrupt holds for it."""


def end_on_sigterm() -> None:
    """From now on a SIGTERM ends what this process does, its workers as well; a second one kills it at once."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # not where the parent has it ignored
        signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: FrameType | None) -> None:
    for either in (signal.SIGTERM, signal.SIGINT):
        signal.signal(either, signal.SIG_DFL)
    raise Terminated
