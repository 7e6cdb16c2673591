"""A second process that imports what later stages need while the first ones work: torch and scikit-learn take a third
of a first run's time to import, on one core, and Python imports one thing at a time."""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from dkvb.runtime import progress
from dkvb.runtime.garbage import search_seldom

SERVE = "import sys; sys.path[:] = {path!r}; from dkvb.runtime.beside import serve; serve()"
"""What it runs: the package that this process has, wherever that lies."""

Begun = Callable[[], Any]
"""Waits for a function's result, and returns it or raises what it raised."""

Begin = Callable[..., Begun]
"""Begins `function` of `module` with arguments: `Beside.begin`, or `here`."""


class There(Exception):
    """Where the second process was when it raised: the cause of what is raised here, for `--debug`."""


class Beside:
    """The second process. It does one thing at a time, writes to the same stderr, and ends when this one does.

    Args:
        modules: what it imports at once.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        words = [sys.executable, "-c", SERVE.format(path=sys.path)]
        self._child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._send((sys.argv, modules))

    def begin(self, module: str, function: str, *arguments: Any) -> Begun:
        """Have it call a function. Wait for the result before the next is begun.

        Should it have been killed, the function is called here.
        """
        self._send((module, function, arguments))

        def result() -> Any:
            assert self._child.stdout
            try:
                done, raised, where = pickle.load(self._child.stdout)
            except (OSError, EOFError, pickle.UnpicklingError):
                return here(module, function, *arguments)()
            if raised is not None:
                raise raised from There(where)
            return done

        return result

    def _send(self, message: Any) -> None:
        assert self._child.stdin
        with suppress(OSError):  # it has ended, which shows when a result is waited for
            pickle.dump(message, self._child.stdin)
            self._child.stdin.flush()

    def end(self) -> None:
        """Kill it: whatever it writes can be killed at any instant."""
        self._child.kill()
        self._child.communicate()
        progress.show_cursor()


def here(module: str, function: str, *arguments: Any) -> Begun:
    """The same without a second process: called when the result is asked for."""
    return lambda: getattr(importlib.import_module(module), function)(*arguments)


@contextmanager
def beside(modules: Sequence[str], wanted: bool = True) -> Iterator[Begin]:
    """What begins a function in a second process, which ends with the block; in this one, unless it is `wanted`."""
    if not wanted:
        yield here
        return
    other = Beside(modules)
    try:
        yield other.begin
    finally:
        other.end()


def serve() -> None:
    """What the second process does: import, then call what it is told to, until the first process ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process has it too, and ends this one
    search_seldom()
    asked = sys.stdin.buffer
    sys.argv, modules = pickle.load(asked)
    for module in modules:
        with suppress(Exception):  # what needs it says so
            importlib.import_module(module)
    while True:
        try:
            module, function, arguments = pickle.load(asked)
        except EOFError:
            return
        threading.Thread(target=_end_with_the_first, args=(asked,), daemon=True).start()
        answers.write(_answer(here(module, function, *arguments)))
        answers.flush()


def _end_with_the_first(asked: Any) -> None:
    """End this process when the first one has ended, which closes the pipe; or wait for what is asked next."""
    if not asked.peek(1):
        os._exit(1)


def _answer(begun: Begun) -> bytes:
    """A function's result, or what it raised and where, pickled. Where that cannot be sent this process ends, and the
    first one has the function called itself."""
    told: tuple[Any, Exception | None, str]
    try:
        told = (begun(), None, "")
    except Exception as error:
        told = (None, error, traceback.format_exc())
    try:
        pickled = pickle.dumps(told)
        pickle.loads(pickled)
    except Exception:
        os._exit(1)
    return pickled
