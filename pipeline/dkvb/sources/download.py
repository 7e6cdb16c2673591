"""Downloading one archive: in several tries, each of which goes on where the last one stopped, checked by md5."""

from __future__ import annotations

import errno
import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import filelock

from dkvb.runtime import progress

TRIES = 5


PAUSE = 1.0
"""Seconds before the second try; doubled before each further one."""


TIMEOUT = 30.0
"""Seconds without a byte after which a try counts as failed."""


WINDOW, SLOWEST = 60.0, 2048.0
"""A try also fails when, over this many seconds, fewer bytes a second than this arrive."""


BLOCK = 1 << 18


_NOTHING: ContextVar[bool] = ContextVar("nothing", default=False)


@contextmanager
def nothing_downloaded() -> Iterator[None]:
    """Within it, what is not there is not fetched: `download` raises instead."""
    before = _NOTHING.set(True)
    try:
        yield
    finally:
        _NOTHING.reset(before)


def allowed() -> bool:
    """Whether anything may be downloaded now."""
    return not _NOTHING.get()


class Refused(OSError):
    """Trying again would not help."""


def md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def download(url: str, target: Path, expected_md5: str, tries: int | None = None, timeout: float = TIMEOUT) -> None:
    """Fetch `url` into `target`. What a broken download left (`<target>.part`) is continued by the next try or call.

    Raises:
        OSError: no network, a stalled, slow or broken connection, no room, or an md5 other than `expected_md5`; the
        last try's reason. Or nothing is to be downloaded now.
    """
    if not allowed():
        raise OSError("it is only read where it is there already")
    target.parent.mkdir(parents=True, exist_ok=True)
    tries = tries or TRIES
    with filelock.FileLock(target.with_name(target.name + ".lock")):
        if target.is_file():
            return
        for number in range(1, tries + 1):
            try:
                _attempt(url, target, expected_md5, timeout)
                return
            except Refused:
                raise
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
                    raise
                if number == tries:
                    raise OSError(f"{error or type(error).__name__}; tried {tries} times") from None
                wait = PAUSE * 2 ** (number - 1)
                progress.note(
                    f"download {target.name}: {error or type(error).__name__}; try {number + 1} of {tries} in"
                    f" {wait:.0f} s"
                )
                time.sleep(wait)


def _attempt(url: str, target: Path, expected_md5: str, timeout: float) -> None:
    part = target.with_name(target.name + ".part")
    had = have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            if response.status != 206:
                had = have = 0  # the server cannot resume
            _receive(response, part, have, target.name)
    except urllib.error.HTTPError as error:
        # 416: the part is already as long as the file
        if error.code != 416:
            passing = error.code in (408, 425, 429) or error.code >= 500
            raise (OSError if passing else Refused)(f"HTTP {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise OSError(f"{error.reason}") from None
    except http.client.HTTPException as error:
        raise OSError(f"{type(error).__name__}: {error}") from None
    if (found := md5(part)) != expected_md5:
        part.unlink()
        # a part left by another version of the file may be to blame; a whole download of the wrong content is not
        # mended by another
        raise (OSError if had else Refused)(
            f"its md5 differs from the official one (it is {found}), so it was thrown away"
        )
    part.replace(target)


def _receive(response, part: Path, have: int, label: str) -> None:  # type: ignore[no-untyped-def]
    left = int(response.headers.get("Content-Length") or 0)
    received = 0
    since, then = time.monotonic(), 0
    with (
        open(part, "ab" if have else "wb") as file,
        progress.task(f"download {label}", (have + left) >> 10, "KiB") as task,
    ):
        task.advance(have >> 10)
        while block := response.read1(BLOCK):
            file.write(block)
            task.advance(((received + len(block)) >> 10) - (received >> 10))
            received += len(block)
            if (passed := time.monotonic() - since) >= WINDOW:
                if (rate := (received - then) / passed) < SLOWEST:
                    raise OSError(f"the host sends only {rate:,.0f} bytes a second")
                since, then = time.monotonic(), received
    if received < left:
        raise OSError(f"the connection broke after {have + received:,} of {have + left:,} bytes")
