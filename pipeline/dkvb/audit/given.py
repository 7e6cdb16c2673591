"""Audits of somebody else's models, from what they answered (`dkvb.audit.collect.read_outputs`)."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from dkvb.audit.collect import read_outputs
from dkvb.audit.judge import judge
from dkvb.audit.outputs import Margins, Outputs
from dkvb.audit.run import says, store
from dkvb.audit.subjects import LINES
from dkvb.errors import UsageError
from dkvb.records.audit import Audit, AuditAbout, AuditEntry, Judgement
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import canonical_hash, sha256


def run(path: Path, workspace: Workspace) -> Audit:
    """Audit the outputs in an .npz file or, of a folder, in each of its .npz files, a method each, named by its file.

    Raises:
        UsageError: there is no such file, or none in the folder.
        DkvbError: a file cannot be read, or its arrays don't belong together.
    """
    started = time.perf_counter()
    files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
    if not files:
        raise UsageError(f"--model {path} holds no .npz file: put one there for each method, as docs/audit.md has it.")
    given = {file: read_outputs(file) for file in files}
    judged = {file: judge(outputs) for file, outputs in given.items()}
    first = next(iter(given.values()))
    forget = list(first.forget) if isinstance(first, Outputs) else []
    entries = [_entry(file.stem, file.stem, "unlearned", forget, judged[file]) for file in files]
    if isinstance(first, Outputs) and first.original is not None:
        idle = judge(Outputs(**{**vars(first), "unlearned": first.original, "member": None}))
        entries.insert(0, _entry("original", LINES["original"], "original", forget, idle))
    fewest = min(one.retrained for one in judged.values()), min(one.unlearned for one in judged.values())
    about = AuditAbout(
        name=path.stem,
        data=path.name,
        classes=_names(first),
        forget=forget,
        forget_names=[first.name(c) for c in forget] if isinstance(first, Outputs) else [],
        seed=0,
        oracles=fewest[0],
        unlearned=fewest[1],
        kinds=[],
        points=first.unlearned.shape[1],
        says=says(*fewest),
        seconds=round(time.perf_counter() - started, 3),
    )
    inputs = {"given": canonical_hash([sha256(file) for file in files])}
    return store(workspace, about, entries, inputs, force=True)


def _names(given: Outputs | Margins) -> list[str]:
    """Of all classes; of margins none are known."""
    if isinstance(given, Margins):
        return []
    return [given.name(c) for c in np.arange(given.unlearned.shape[2]).tolist()]


def _entry(method: str, label: str, role: str, forget: list[int], judgement: Judgement) -> AuditEntry:
    nothing = dict.fromkeys(("source", "settings", "seconds", "seconds_choosing", "flops", "bytes", "note", "error"))
    return AuditEntry.model_validate(
        {
            "method": method,
            "label": label,
            "role": role,
            "model": "given",
            "family": "control",
            "rival": False,
            "seed": 0,
            "forget": forget,
            "models": judgement.unlearned,
            "measures": {one.name: one for one in judgement.measured},
            "left_out": {one.name: one.reason for one in judgement.left_out},
            **nothing,
        }
    )
