"""Errors as a person at a terminal sees them: a short message and an exit code."""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Callable
from pathlib import Path

from dkvb.commands.printing import echo
from dkvb.commands.signals import Terminated
from dkvb.errors import DamagedArtifact, DkvbError, system_error

INTERRUPTED = 130


def attempt(call: Callable[[], None], folder: Path, debug: bool) -> tuple[int, str | None]:
    """Call, and turn an error into its exit code and message; any other error is a fault of dkvb and is raised.

    Args:
        folder: the place that a system error which names no file is about.
        debug: print the traceback too.

    Returns:
        (0, None) where all went well.
    """
    try:
        call()
    except Terminated:
        return INTERRUPTED, "ended by SIGTERM; the same command goes on where this one stopped"
    except KeyboardInterrupt:
        return INTERRUPTED, "interrupted; the same command goes on where this one stopped"
    except BrokenPipeError:
        raise  # what reads our output has had enough of it, as `head` has: typer ends in silence, with exit code 1
    except Exception as error:
        code, message = _explain(error, folder)
        if message is None:
            raise
        if debug:
            echo(traceback.format_exc(), err=True)
        return code, message
    return 0, None


def _explain(error: Exception, folder: Path) -> tuple[int, str | None]:
    if isinstance(error, DkvbError):
        return error.exit_code, str(error)
    if isinstance(error, MemoryError) or _out_of_memory(error):
        advice = "lower keys.codebooks or keys.pairs, or use a machine with more; finished work is kept"
        what = str(error).splitlines()[0] if isinstance(error, MemoryError) and str(error) else ""
        return 1, f"out of memory{f' ({what})' if what else ''}: {advice}."
    if told := system_error(error, folder):
        return 1, _system_error(told, folder)
    if type(error).__name__ == "SafetensorError":
        text = str(error).splitlines()[0][:200]
        return DamagedArtifact.exit_code, f"a tensor file is damaged ({text}). Run again with --debug to see which."
    return 1, None


def _out_of_memory(error: Exception) -> bool:
    """Whether an error is torch's, FAISS's or Python's way of saying that memory has run out, also that of a GPU."""
    signs = ("can't allocate memory", "std::bad_alloc", "out of memory", "can't start new thread")
    return type(error).__name__ == "OutOfMemoryError" or any(sign in str(error) for sign in signs)


def _system_error(error: OSError, folder: Path) -> str:
    where = error.filename or folder
    again = "free some room, then run the same command again; finished work is kept"
    other = "give another --data-dir or --reports-dir"
    reasons = {
        errno.ENOSPC: f"the disk is full ({where}): {again}.",
        errno.EDQUOT: f"the disk quota is used up ({where}): {again}.",
        errno.EROFS: f"{where} is on a read-only disk: {other}.",
        errno.EACCES: f"{where}: permission denied; mend its permissions, or {other}.",
        errno.EPERM: f"{where}: not permitted; mend its permissions, or {other}.",
        errno.ENOTDIR: f"{where} needs a folder where there is a file: {other}.",
    }
    what = os.strerror(error.errno) if error.errno else error
    return reasons.get(error.errno or 0, f"{where}: {what}. Run again with --debug to see where.")
