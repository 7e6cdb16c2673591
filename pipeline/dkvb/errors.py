"""Errors that say what is wrong, where, and the command that mends it; each carries its exit code."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path


class DkvbError(Exception):
    """The work failed (exit code 1)."""

    exit_code = 1


class NotHere(DkvbError):
    """Data or weights that are not on this machine and could not be downloaded (exit code 1)."""


class UsageError(DkvbError):
    """A recipe, flag, path or name that cannot be used (exit code 2)."""

    exit_code = 2


class MissingStage(DkvbError):
    """An earlier stage has not been run; the message names the command that runs it (exit code 3)."""

    exit_code = 3


class SettingsClash(DkvbError):
    """What is on disk was made by other settings or a newer format (exit code 4)."""

    exit_code = 4


class DamagedArtifact(DkvbError):
    """An artifact on disk is truncated, altered or incomplete (exit code 5)."""

    exit_code = 5


def nearest(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the closest known word, else the list of all of them."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(known)}"


def some(names: Iterable[object], limit: int = 3, mark: str = ",") -> str:
    """The first names of a list, with a mark after each, and how many more there are."""
    listed = [str(name) for name in names]
    more = f"{mark.strip(',')} and {len(listed) - limit} more" if len(listed) > limit else ""
    return f"{mark} ".join(listed[:limit]) + more


IN_WORDS = re.compile(r"\(os error (\d+)\)")
"""How libraries written in Rust (safetensors, polars) say in a text which system error they met."""

ROOM = (errno.ENOSPC, errno.EDQUOT)
"""The disk is full, or the quota used up."""


def system_error(error: BaseException, path: Path) -> OSError | None:
    """The system error that an error is, tells of in words, or hides where the disk was full; None where there is none.

    Args:
        path: the file that was being written, named where the error names none.
    """
    if isinstance(error, OSError) and (error.filename or error.errno is None):
        return error
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (said := IN_WORDS.search(str(error))):
        number = int(said[1])
    if number is not None:
        return OSError(number, os.strerror(number), str(path))
    hidden = error.__cause__ or error.__context__
    found = system_error(hidden, path) if hidden else None
    return found if found and found.errno in ROOM else None
