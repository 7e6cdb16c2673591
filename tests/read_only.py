"""Workspaces that can be read and not written, for root as well."""

from __future__ import annotations

import builtins
import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

OVERRIDE = 1
"""The capability by which root writes what nobody may (CAP_DAC_OVERRIDE)."""

VERSION_3 = 0x20080522


def give_up_root() -> None:
    """From now on, permissions hold for this process though it is root's."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(VERSION_3, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0, os.strerror(ctypes.get_errno())
    for word in (0, 1):  # effective and permitted
        data[word] &= ~(1 << OVERRIDE)
    assert libc.capset(header, data) == 0, os.strerror(ctypes.get_errno())


def lock_up(root: Path) -> None:
    """Take the right to write away from all below a folder, itself included."""
    for path in [*root.rglob("*"), root]:
        path.chmod(path.stat().st_mode & ~0o222)


def unlock(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)


def on_a_read_only_disk(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Refuse every write below a folder as a disk that is mounted read only does; permissions say nothing of it."""

    def refuse(path: Any, writes: bool = True) -> None:
        if writes and isinstance(path, str | os.PathLike) and Path(path).absolute().is_relative_to(root):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    def first(real: Callable[..., Any], other: int | None = None) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            refuse(arguments[0])
            if other is not None:
                refuse(arguments[other])
            return real(*arguments, **named)

        return call

    real_open, plain_open = os.open, builtins.open

    def os_open(path: Any, flags: int, *more: Any, **named: Any) -> int:
        refuse(path, bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)))
        return real_open(path, flags, *more, **named)

    def open_(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        refuse(file, any(letter in mode for letter in "wax+"))
        return plain_open(file, mode, *more, **named)

    patch.setattr(os, "open", os_open)
    patch.setattr(builtins, "open", open_)
    patch.setattr("io.open", open_)
    for name in ("mkdir", "unlink", "remove", "rmdir", "utime", "truncate", "chmod"):
        patch.setattr(os, name, first(getattr(os, name)))
    for name in ("replace", "rename", "link"):
        patch.setattr(os, name, first(getattr(os, name), 1))
