"""The folder that an export is written to: all of it or nothing, and in the place of an earlier export if asked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dkvb.errors import UsageError
from dkvb.inference.export_files import EVERY, MARKS, ONNX
from dkvb.inference.export_said import Said
from dkvb.records.use import ExportResult
from dkvb.workspace.files import TEMPORARY

STAGING = f"{TEMPORARY}export"
"""Where an export into a folder that is there already is made: below it. It goes last, and so marks an export that was
cut short."""


@contextmanager
def staged(folder: Path, files: Sequence[str]) -> Iterator[Path]:
    """A folder to write an export's files to, which `refuse` has let pass; they are put in place at the end.

    Args:
        files: names, in the order in which they are put in place; the last marks the export as whole.
    """
    beside = folder.with_name(f"{STAGING}-{folder.name}")
    temporary = folder / STAGING if folder.exists() else beside
    for left in (beside, folder / STAGING):  # by a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        _place(temporary, folder, [name for name in files if (temporary / name).exists()])
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse(folder: Path, force: bool) -> None:
    """Raise UsageError for a folder that is a file, or that holds anything but an export cut short, unless `force`."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a folder to export to.")
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    cut_short = STAGING in there and there <= {STAGING, *EVERY}
    if there and not cut_short and not force:
        raise UsageError(f"{folder} is not empty: give another folder, or --force to replace the export in it.")


def _place(temporary: Path, folder: Path, files: Sequence[str]) -> None:
    """Give a finished folder its name; where there is one, file by file, what marks an export first away and last
    there."""
    if temporary.parent != folder:
        os.replace(temporary, folder)
        return
    for name in MARKS:
        (folder / name).unlink(missing_ok=True)
    for name in files:
        os.replace(temporary / name, folder / name)
    for name in set(EVERY) - set(files):  # of an export in another format
        (folder / name).unlink(missing_ok=True)


def result(folder: Path, files: Sequence[str], sha256: str, said: Said) -> ExportResult:
    """What an export wrote.

    Args:
        files: names of all of its files; `sha256`: of the one that holds the model.
        said: what it says of the model.
    """
    return ExportResult(
        format="onnx" if ONNX in files else "safetensors",
        path=str(folder),
        files=sorted(files),
        bytes=sum((folder / name).stat().st_size for name in files),
        sha256=sha256,
        classes=said.classes,
        ids=said.ids,
        left_out=said.left_out,
        forgotten=said.forgotten,
        masked=said.masked,
        test=said.accuracy.now,
        ledger=said.ledger,
    )
