"""Whether a folder or an ONNX file that `dkvb export` wrote is intact, and still what the workspace would export: an
export carries where the ledger ended, and the ledger says what has been done since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dkvb.deletion import ledger
from dkvb.errors import DamagedArtifact, UsageError
from dkvb.inference import export_files, export_tensors, onnx_file
from dkvb.inference.export_config import ExportConfig
from dkvb.inference.export_files import CARD, CONFIG, LABELS, ONNX, TENSORS
from dkvb.inference.export_said import Said
from dkvb.inference.onnx_file import OnnxConfig
from dkvb.records.ledger import LedgerEntry
from dkvb.records.use import ExportCheck, LedgerMark, RequestSince
from dkvb.workspace import ledger_mark, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.beside_purge import reading
from dkvb.workspace.lineage import Lineage

CHANGING = ("masked", "topped-up", "exact", "restored", "purged")
"""Events after which the workspace would export another model."""

COPIES = "Copies and further exports elsewhere: none of them is known to the workspace."
NOT_CHECKED = (
    "Whether config, labels and tensors were all replaced together, with new hashes: nothing in the folder shows that.",
    "Whether the tensors are those of the workspace's model: they are compared with the folder's own hashes.",
    COPIES,
)
NOT_CHECKED_ONNX = (
    "Whether the file was replaced as a whole, with a new hash: nothing in it shows that.",
    "Whether the tensors are those of the workspace's model: they are compared with the file's own hash.",
    f"{CARD} beside it, which is for people alone.",
    COPIES,
)


@dataclass
class _Found:
    """What was found out so far."""

    problems: list[str] = field(default_factory=list)
    since: list[RequestSince] = field(default_factory=list)
    damaged: bool = False


def check(workspace: Workspace, path: Path) -> ExportCheck:
    """Compare an export with its hashes and with the workspace's ledger; nothing is written.

    Args:
        path: the folder; of an export for ONNX the file itself will do.

    Raises:
        UsageError: there is no such folder or file, `dkvb export` did not write it, or onnx, which reads its file, is
            not installed.
        SettingsClash: a newer dkvb wrote it.
        DamagedArtifact: a request of the workspace cannot be read.
    """
    path = path.expanduser().absolute()
    onnx = _onnx(path)
    if onnx is None and not path.is_dir():
        raise UsageError(f"{path} is no folder: give one that `dkvb export` wrote, or its {ONNX}.")
    found = _Found()
    config = _intact_onnx(onnx, found) if onnx else _intact(path, found)
    with reading(workspace):
        told = ledger.verify(workspace)
        entries = told.ledger
        if config is not None:
            _compare(workspace, config, entries, found)
        if not told.valid:
            found.problems.append(f"The ledger of {workspace.root} was altered: {told.problem}.")
    verdict = "damaged" if found.damaged else "stale" if found.since else "unknown" if found.problems else "current"
    last = LedgerMark(entries=len(entries), hash=entries[-1].hash) if entries else ledger_mark.NONE
    return ExportCheck(
        format="onnx" if onnx else "safetensors",
        path=str(path),
        verdict=verdict,  # type: ignore[arg-type]
        problems=found.problems,
        since=found.since,
        exported=config.ledger if config else None,
        now=last if told.valid else None,
        not_checked=list(NOT_CHECKED_ONNX if onnx else NOT_CHECKED),
    )


def _onnx(path: Path) -> Path | None:
    """The ONNX file that is meant; None where it is a folder of the other format, or nothing."""
    if path.is_file():
        return path
    return path / ONNX if (path / ONNX).is_file() and not (path / CONFIG).is_file() else None


def _intact_onnx(file: Path, found: _Found) -> OnnxConfig | None:
    """What an ONNX file says of itself; None where it is damaged."""
    try:
        config = onnx_file.read(file)
    except DamagedArtifact as error:
        found.problems.append(str(error))
        found.damaged = True
        return None
    if not onnx_file.labels_fit(file, config):
        found.problems.append(f"{file.with_name(LABELS)} has other names than {file.name}, or another order.")
        found.damaged = True
    return config


def _intact(folder: Path, found: _Found) -> ExportConfig | None:
    """The config of an export; None where that is damaged itself."""
    config = None
    try:
        config, raw = export_files.read_config(folder)
        export_files.check(folder, config, raw)
        with export_files.naming(folder):
            export_tensors.read(folder / TENSORS, config, export_files.mend(folder))
    except DamagedArtifact as error:
        found.problems.append(str(error))
        found.damaged = True
    else:
        if not config.hashed:
            found.problems.append(
                f"It was written by dkvb {config.dkvb}, before hashes of all files and the ledger's end were kept:"
                " export again to have it checked."
            )
        elif export_files.card_changed(folder, config):
            found.problems.append(f"{CARD} is not the model card that was written with this model, which is intact.")
            found.damaged = True
    return config


def _compare(workspace: Workspace, config: Said, entries: Sequence[LedgerEntry], found: _Found) -> None:
    """Find what was done since the model was loaded from the workspace."""
    mark = config.ledger
    if mark is None:
        if config.hashed:
            found.problems.append("Where the ledger ended when it was exported is not known.")
        return
    ends = entries[mark.entries - 1].hash if 0 < mark.entries <= len(entries) else ledger_mark.START
    if ends != mark.hash:
        found.problems.append(
            f"The ledger of {workspace.root} does not hold the entry with which it ended when this was exported (number"
            f" {mark.entries}): give the --data-dir it was exported from, or the ledger's end was cut off."
        )
        return
    lineage = Lineage(workspace)
    found.since = list(_since(workspace, [e for e in entries[mark.entries :] if _concerns(e, config, lineage)]))
    train = config.identity.get("train", "")
    if not found.since and lineage.find("train", train) is None and all(e.train != train for e in entries):
        found.problems.append(
            f"{workspace.root} knows nothing of the model that was exported: give the --data-dir it was exported from."
        )


def _concerns(entry: LedgerEntry, config: Said, lineage: Lineage) -> bool:
    """Whether an event is about the exported model: about its own requests, or a purge of the data it was made from."""
    if entry.event not in CHANGING:
        return False
    if entry.train == config.identity.get("train"):
        return True
    other = lineage.find("train", entry.train)
    made = lineage.trained_from(other) if other else None
    return entry.event == "purged" and (made is None or made.features.fingerprint == config.identity.get("embed"))


def _since(workspace: Workspace, entries: Sequence[LedgerEntry]) -> Iterator[RequestSince]:
    """The requests of some events."""
    known = {request.id: request for request in requests.all_requests(workspace)}
    for identity in dict.fromkeys(entry.request for entry in entries):
        events = [entry.event for entry in entries if entry.request == identity]
        names = known[identity].names if identity in known else []
        yield RequestSince(request=identity, names=names, events=events)


def in_words(checked: ExportCheck) -> str:
    """The verdict, a sentence."""
    if checked.verdict == "current":
        return f"{checked.path} is intact, and no request that concerns it has changed since it was exported."
    if checked.verdict == "damaged":
        return checked.problems[0]
    if checked.verdict == "unknown":
        return f"Whether {checked.path} is up to date is not known. {checked.problems[0]}"
    listed = "; ".join(
        f"{one.request} ({', '.join(one.names) or 'single samples'}): {', '.join(one.events)}" for one in checked.since
    )
    folder = Path(checked.path)
    where, form = (folder.parent if folder.is_file() else folder), ""
    if checked.format == "onnx":
        form = " --format onnx"
    return f"{checked.path} is stale: since it was exported, {listed}. `dkvb export {where}{form} --force` renews it."
