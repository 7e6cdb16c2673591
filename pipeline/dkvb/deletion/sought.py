"""What a purge looks for once it has erased: hashes of the rows, values, ids and file names that must be gone."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np

from dkvb.deletion import in_place, standing
from dkvb.deletion.erase_pictures import kept_pictures
from dkvb.deletion.needles import Needles
from dkvb.deletion.reach import Reach
from dkvb.metrics.evenly import evenly
from dkvb.workspace import arrays, requests
from dkvb.workspace.names import STORED_SPLITS, VALUES
from dkvb.workspace.requests import Request
from dkvb.workspace.rows import stored_labels
from dkvb.workspace.tensors import load_file

LOOKED_FOR = 20_000
"""Pairs whose values of training are looked for after others took their place, at most: they are of one file."""


@dataclass(frozen=True)
class Sought:
    """Hashes of all that is to be erased."""

    needles: Needles
    shared: int
    """Rows that have none, because rows that stay are the same."""
    unnamed: int
    """Rows whose ids have none: they are too short, or those of rows that stay as well."""


def sought(reach: Reach) -> Sought:
    """What is to be erased and has not been yet, as hashes."""
    needles, first = Needles.none(), 0
    staying: list[np.ndarray] = []
    gone_ids: list[str] = []
    staying_ids: list[str] = []
    for split in STORED_SPLITS:
        stored = arrays.read(reach.features, f"{split}/features")
        mine = np.isin(np.arange(len(stored)), reach.rows(split)) & (stored_labels(reach.features, split) >= 0)
        needles += Needles.of(stored[mine], needles.salt, first)
        first += int(mine.sum())
        staying.append(stored[~mine])
        ids = [str(one) for one in arrays.plain(reach.features.path, f"{split}/ids").tolist()]
        for one, goes in zip(ids, mine.tolist(), strict=True):
            (gone_ids if goes else staying_ids).append(one)
    shared = {row for rows in staying for row in needles.found_in(np.ascontiguousarray(rows).data)}
    needles = needles.without(shared)
    for request in reach.together:
        values, gone = reach.model_of(request).tensors(VALUES)["values"], request.mask()
        stay = [values[~gone]]
        if reach.exact(request):
            instead = load_file(in_place.copy(reach.request, request.train))["values"]
            gone = _some(values.any(2) & (values != instead).any(2))
            stay = [instead]
        if stand := standing.stand(requests.all_requests(reach.workspace, request.train)):
            stay += [stand.request.values()[0]] if request.id in [one.id for one in stand.without] else []
        together = _together(reach, request, values.shape[2])
        for columns in dict.fromkeys([range(values.shape[2]), together]):
            erased = Needles.of(values[gone][:, columns.start : columns.stop], needles.salt, first, dtypes=("<f4",))
            staying_rows = {row for rows in stay for row in erased.found_in(np.ascontiguousarray(rows).data)}
            needles += erased.without(staying_rows)
        first += int(gone.sum())
    going, kept = kept_pictures(reach)
    needles += pictured(going, kept, needles.salt, first)
    first += len(going)
    names = named(gone_ids, staying_ids, needles.salt, first)
    return Sought(needles + names, len(shared), len(gone_ids) - len(names.names))


def _together(reach: Reach, request: Request, classes: int) -> range:
    """Columns of values that stand side by side in every export of before a request: one that was written after
    others had been forgotten has no columns for their classes. The longest run of columns of no such class."""
    every = requests.all_requests(reach.workspace, request.train)
    gone = {c for other in every if other.id != request.id for c in other.classes}
    ends = [-1, *sorted(gone), classes]
    before, after = max(pairwise(ends), key=lambda pair: pair[1] - pair[0])
    return range(before + 1, after)


def pictured(gone: Sequence[bytes], staying: Sequence[bytes], salt: bytes, first: int = 0) -> Needles:
    """Needles of pictures, numbered from `first` on, as files and as the text that pages hold; without those of rows
    that stay as well."""
    needles, rows = Needles.none(salt), range(first, first + len(gone))
    for written in (bytes, base64.b64encode):
        mine = Needles.of_files([written(one) for one in gone], rows, salt)
        needles += mine.without(mine.found_in(b"\n".join(written(one) for one in staying)))
    return needles


def named(gone: Sequence[str], staying: Sequence[str], salt: bytes, first: int = 0) -> Needles:
    """Needles of the ids of rows, numbered from `first` on, and of the file names that ids end in; without those that
    ids that stay hold as well."""
    text = "\n".join(staying).encode()
    needles = Needles.none(salt)
    files = [PurePosixPath(one).name if "/" in one else "" for one in gone]
    for names in (gone, files):
        mine = Needles.none(salt)
        for spelled in ("plain", "JSON", "HTML"):
            words = [_spelled(one, spelled) for one in names]
            written = [i for i, word in enumerate(words) if word and (spelled == "plain" or word != names[i])]
            rows, chosen = [first + i for i in written], [words[i] for i in written]
            mine += Needles.of_names([word.encode() for word in chosen], rows, 1, salt)
            mine += Needles.of_names([word.encode("utf-32-le") for word in chosen], rows, 4, salt)
        needles += mine.without(mine.found_in(text))
    return needles


def _spelled(name: str, how: str) -> str:
    """A name as text files of a kind have it."""
    return {"JSON": json.dumps(name)[1:-1], "HTML": html.escape(name)}.get(how, name)


def _some(pairs: np.ndarray) -> np.ndarray:
    """At most `LOOKED_FOR` of some pairs (C, M) bool, evenly spaced."""
    chosen = np.zeros(pairs.size, bool)
    chosen[evenly(np.flatnonzero(pairs), LOOKED_FOR)] = True
    return chosen.reshape(pairs.shape)
