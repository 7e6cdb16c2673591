"""Names and lines of text files: UTF-8, and nothing else passes for it."""

from __future__ import annotations

from pathlib import Path

from dkvb.errors import DkvbError, UsageError


def decoded(raw: bytes | str, where: object, row: int | None = None) -> str:
    """A name as text.

    Raises:
        DkvbError: it is not UTF-8 (a `str` with lone surrogates, which is how Python passes such bytes on, included).
    """
    try:
        if isinstance(raw, str):
            raw.encode()
            return raw
        return raw.decode()
    except UnicodeError:
        shown = (
            raw.encode("utf-8", "surrogateescape" if _from_bytes(raw) else "backslashreplace")
            if isinstance(raw, str)
            else raw
        )
        at = "" if row is None else f" (row {row})"
        raise DkvbError(f"{where}: the name {shown[:80]!r}{at} is not UTF-8; save it as UTF-8.") from None


def _from_bytes(text: str) -> bool:
    """Whether all lone surrogates in a text stand for bytes."""
    return all(not "\ud800" <= letter <= "\udfff" or "\udc80" <= letter <= "\udcff" for letter in text)


def read_text(path: Path) -> str:
    """A file's text, without a byte order mark.

    Raises:
        UsageError: it cannot be read.
        DkvbError: it is not UTF-8; shows the first line that is not.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); mend its permissions or copy it again.") from None
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        start = raw.rfind(b"\n", 0, error.start) + 1
        line = raw[start:].split(b"\n", 1)[0].rstrip(b"\r")
        number = raw.count(b"\n", 0, start) + 1
        raise DkvbError(f"{path}: line {number} ({line[:80]!r}) is not UTF-8; save the file as UTF-8.") from None


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, as they are but for their ends; empty lines at the end of the file are none.

    Raises:
        UsageError, DkvbError: as `read_text`.
    """
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines
