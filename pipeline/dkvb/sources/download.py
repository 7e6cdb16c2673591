"""Downloading one archive: resumed where it stopped, checked by md5."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

import filelock

from dkvb import progress

TIMEOUT = 30.0
"""Seconds without a byte after which a download counts as failed."""
BLOCK = 1 << 18


def md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def download(url: str, target: Path, expected_md5: str, timeout: float = TIMEOUT) -> None:
    """Fetch `url` into `target`. What a broken download left (`<target>.part`) is continued by the next call.

    Raises:
        OSError: no network, a stalled or broken connection, no room, or an md5 other than `expected_md5`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with filelock.FileLock(target.with_name(target.name + ".lock")):
        if target.is_file():
            return
        have = part.stat().st_size if part.is_file() else 0
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                if response.status != 206:
                    have = 0
                _receive(response, part, have, target.name)
        except urllib.error.HTTPError as error:
            # 416: the part is already as long as the file
            if error.code != 416:
                raise
        except urllib.error.URLError as error:
            raise OSError(f"{error.reason}") from None
        except http.client.HTTPException as error:
            raise OSError(f"{type(error).__name__}: {error}") from None
        if md5(part) != expected_md5:
            part.unlink()
            raise OSError("its md5 differs from the official one, so it was thrown away")
        part.replace(target)


def _receive(response, part: Path, have: int, label: str) -> None:  # type: ignore[no-untyped-def]
    left = int(response.headers.get("Content-Length") or 0)
    with open(part, "ab" if have else "wb") as file, progress.task(f"download {label}", (have + left) >> 10, "KiB") as task:
        task.advance(have >> 10)
        received = 0
        while block := response.read(BLOCK):
            file.write(block)
            received += len(block)
            task.advance(len(block) >> 10)
    if received < left:
        raise OSError(f"the connection broke after {have + received:,} of {have + left:,} bytes")
