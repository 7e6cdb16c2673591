"""Writing of deletion requests: a new one, its mask, a larger N, and changes of its record."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from dkvb.bottleneck.mask_order import pack
from dkvb.records.deletion import RequestRecord
from dkvb.records.filing import Pseudonym
from dkvb.records.masking import Masking, TopUp
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import atomic, remove_leftovers, sha256, write_json
from dkvb.workspace.finished import Artifact
from dkvb.workspace.names import MASK, REQUEST
from dkvb.workspace.requests import MASKED, TOPPED_UP, Request, folder, made_on, top_up_file


@dataclass(frozen=True)
class Filing:
    """How a request is kept."""

    reason: str | None = None
    """Why it is made."""
    pseudonym: Pseudonym | None = None
    """What stands for the names of its classes."""

    def shown(self, names: Sequence[str]) -> list[str]:
        """The names that its id is made of."""
        return self.pseudonym.names if self.pseudonym else list(names)


def open_request(
    workspace: Workspace,
    train: Artifact,
    masking: Masking,
    mask: np.ndarray,
    fill: Callable[[Path], dict[str, Any]] = lambda path: {},
    filing: Filing | None = None,
) -> Request:
    """Write a new request in state masked. Call with `held`.

    Args:
        train: the trained bottleneck.
        masking: what was measured.
        mask: (C, M) bool, the pairs that it masks.
        fill: writes more files into its folder; returns the fields of the record that tell of them.
        filing: how it is kept.
    """
    here = folder(workspace)
    here.mkdir(parents=True, exist_ok=True)
    for path in here.iterdir():
        if path.is_dir() and not (path / REQUEST).is_file():  # begun by a killed process
            shutil.rmtree(path)
    filing = filing or Filing()
    path = here / next_id(workspace, filing.shown(masking.names))
    path.mkdir()
    more = fill(path)
    record = RequestRecord(
        id=path.name,
        state=MASKED,
        train=train.fingerprint,
        mask_sha256=write_mask(path, mask),
        made_on=made_on(train),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        unrecorded=MASKED,
        reason=filing.reason,
        pseudonym=filing.pseudonym,
        **{**dict(masking), **more},
    )
    return _written(path, record)


def write_mask(path: Path, mask: np.ndarray, name: str = MASK) -> str:
    """Write the mask (C, M) bool of the request in a folder; the hash of its file."""
    with atomic(path / name) as temporary:
        save_file({"mask": pack(mask), "shape": np.array(mask.shape)}, temporary)
    return sha256(path / name)


def top_up(request: Request, pairs: np.ndarray, raised: TopUp) -> Request:
    """Mask more pairs (C, M) bool for a request. Call with `held`.

    The file comes before the record that names it: killed between the two, nothing has changed.
    """
    earlier = request.record.topped_up or []
    sha = write_mask(request.path, pairs, top_up_file(len(earlier) + 1))
    raised = raised.model_copy(update={"mask_sha256": sha})
    return change(request, topped_up=[*earlier, raised], unrecorded=TOPPED_UP)


def next_id(workspace: Workspace, names: Sequence[str]) -> str:
    """The id of the next request, which forgets these classes."""
    here = folder(workspace)
    taken = [int(match[1]) for path in here.glob("*") if (match := re.match(r"r(\d+)", path.name))]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(names)).strip("-").lower()[:40].strip("-")
    return f"r{max(taken, default=0) + 1:04d}" + (f"-{readable}" if readable else "")


def change(request: Request, **fields: Any) -> Request:
    """Write a request with some fields of its record changed; None takes a field away. Call with `held`."""
    remove_leftovers(request.path)
    return _written(request.path, request.record.model_copy(update=fields))


def _written(path: Path, record: RequestRecord) -> Request:
    write_json(path / REQUEST, record.model_dump(mode="json"))
    return Request(path, record)
