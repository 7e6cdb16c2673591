"""What a purge looks for once it has erased: hashes of the rows and values that must be gone."""

from __future__ import annotations

import numpy as np

from dkvb.deletion import in_place, standing
from dkvb.deletion.needles import Needles
from dkvb.deletion.reach import Reach
from dkvb.workspace import arrays, requests
from dkvb.workspace.names import STORED_SPLITS, VALUES
from dkvb.workspace.rows import stored_labels
from dkvb.workspace.tensors import load_file

LOOKED_FOR = 20_000
"""Pairs whose values of training are looked for after others took their place, at most: they are of one file."""


def sought(reach: Reach) -> tuple[Needles, int]:
    """Hashes of all that is to be erased; and how many rows have none, because rows that stay are the same."""
    needles, first = Needles.none(), 0
    staying: list[np.ndarray] = []
    for split in STORED_SPLITS:
        stored = arrays.read(reach.features, f"{split}/features")
        mine = np.isin(np.arange(len(stored)), reach.rows(split)) & (stored_labels(reach.features, split) >= 0)
        needles += Needles.of(stored[mine], needles.salt, first)
        first += int(mine.sum())
        staying.append(stored[~mine])
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
        erased = Needles.of(values[gone], needles.salt, first, dtypes=("<f4",))
        first += int(gone.sum())
        needles += erased.without({row for rows in stay for row in erased.found_in(np.ascontiguousarray(rows).data)})
    return needles, len(shared)


def _some(pairs: np.ndarray) -> np.ndarray:
    """At most `LOOKED_FOR` of some pairs (C, M) bool, evenly spaced."""
    places = np.flatnonzero(pairs)
    if len(places) > LOOKED_FOR:
        places = places[np.linspace(0, len(places) - 1, LOOKED_FOR, dtype=np.int64)]
    chosen = np.zeros(pairs.size, bool)
    chosen[places] = True
    return chosen.reshape(pairs.shape)
