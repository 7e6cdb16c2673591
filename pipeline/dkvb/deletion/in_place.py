"""Values that take the place of a bottleneck's own where an exact request is purged."""

from __future__ import annotations

from pathlib import Path

from safetensors.numpy import save_file

from dkvb.deletion.reach import Reach
from dkvb.recipe import Recipe
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import atomic, sha256
from dkvb.workspace.requests import Request
from dkvb.workspace.shredding import shred


def copy(request: Request, train: str) -> Path:
    """Where a purge keeps the values that are to take the place of a bottleneck's own, until it has ended."""
    return request.path / f"in-place-{train[:8]}.safetensors"


def drop_copies(request: Request) -> None:
    for file in sorted(request.path.glob("in-place-*.safetensors")):
        shred(file)


def replacing(recipe: Recipe, workspace: Workspace, reach: Reach) -> dict[str, str]:
    """Write the values that are to take the place of those of training, in each bottleneck where an exact request is
    purged: its fingerprint -> the file's hash."""
    written = {}
    for model in reach.covered:
        mine = [one for one in reach.together if one.train == model.fingerprint]
        if not any(one.exact for one in mine):
            continue
        from dkvb.deletion.exact import purged_values  # it trains, and imports torch

        values = purged_values(recipe, workspace, mine[0], mine).values
        file = copy(reach.request, model.fingerprint)
        with atomic(file) as temporary:
            save_file({"values": values}, temporary)
        written[model.fingerprint] = sha256(file)
    return written
