"""Pictures of what is purged: those that the workspace keeps, and those on pages."""

from __future__ import annotations

from dkvb.deletion.reach import Reach
from dkvb.pages.facts.pictures import mark
from dkvb.pages.library import written_alone
from dkvb.pages.redacting import redact
from dkvb.pictures.index import Row, file_of, indices_of, rows_in
from dkvb.workspace.files import leftover, names_of
from dkvb.workspace.names import MANIFEST, STORED_SPLITS
from dkvb.workspace.shredding import shred


def gone_rows(reach: Reach) -> set[Row]:
    """The rows that a purge erases, whether it has erased them already or not."""
    return {(split, int(row)) for split in STORED_SPLITS for row in reach.rows(split)}


def kept_pictures(reach: Reach) -> tuple[list[bytes], list[bytes]]:
    """Those of rows that go, and those of rows that stay, that are kept of the features."""
    gone, going, staying = gone_rows(reach), list[bytes](), list[bytes]()
    for index in indices_of(reach.workspace, reach.features):
        for row in rows_in(index):
            (going if row in gone else staying).append((index.path / file_of(row)).read_bytes())
    return going, staying


def erase_pictures(reach: Reach) -> int:
    """Erase them, from the workspace and from the pages in its reports; how many the workspace held. May be
    repeated."""
    gone, erased = gone_rows(reach), 0
    for index in indices_of(reach.workspace, reach.features):
        for path in sorted(path for path in index.path.rglob("*") if path.is_file() and leftover(path)):
            shred(path)
        for row in sorted(gone & set(rows_in(index))):
            shred(index.path / file_of(row))
            erased += 1
        index.reseal(pictures=len(names_of(index.path, [MANIFEST])))
    marks = {mark(reach.features, row) for row in gone}
    with written_alone(reach.workspace):
        redact(reach.workspace.reports, marks.__contains__)
    return erased
