"""`dkvb status --check`: every byte of the workspace against what was written down of it, and whether what was made
from one another still fits together."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from dkvb.deletion import ledger, receipt_files
from dkvb.errors import DkvbError, UsageError
from dkvb.inference import onnx_file
from dkvb.inference.export_files import CONFIG, LABELS, ONNX, TENSORS
from dkvb.inference.exported import read_export
from dkvb.pages import written
from dkvb.records.status import FileCheck, Problem, Unchecked
from dkvb.runtime import progress
from dkvb.workspace import arrays, content, last_recipe, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.names import LAST_RECIPE, MANIFEST, RECEIPTS
from dkvb.workspace.requests import Request

EARLIER = "written by an earlier version, without hashes of the chunks of arrays"


def check(workspace: Workspace) -> FileCheck:
    """Look at everything; nothing is changed, and nothing that was hashed before is taken for granted."""
    started = time.perf_counter()
    problems: list[Problem] = []
    unchecked: list[Unchecked] = []
    files = size = 0
    every = [(one, file.parent) for one in _workspaces(workspace) for file in sorted(one.root.glob(f"*/*/{MANIFEST}"))]
    with progress.task("check", len(every), "artifacts") as task:
        for one, folder in every:
            try:
                artifact = one.read(folder)
                assert artifact is not None  # its manifest was there just now
                problems += _artifact(one, artifact)
                if artifact.content is None:
                    unchecked.append(Unchecked(where=str(folder), why=EARLIER))
                listed = artifact.manifest["files"].values()
                files, size = files + len(listed), size + sum(of["bytes"] for of in listed)
            except DkvbError as error:
                problems.append(_of_error(folder.parent.name, folder / MANIFEST, error))
            task.advance(1)
    for looked in (_requests, _ledger, _receipts, _report, _exports, _last_recipe):
        problems += looked(workspace)
    problems += _onnx_exports(workspace, unchecked)
    if (workspace.reports / "index.html").is_file() and not (workspace.reports / written.HASHES).is_file():
        unchecked.append(Unchecked(where=str(workspace.reports), why="pages of an earlier version, without hashes"))
    for page in receipt_files.unhashed(workspace):
        unchecked.append(Unchecked(where=str(page), why="a page of an earlier version, without a hash"))
    return FileCheck(
        files=files,
        bytes=size,
        seconds=round(time.perf_counter() - started, 3),
        problems=problems,
        unchecked=unchecked,
    )


def _workspaces(workspace: Workspace) -> list[Workspace]:
    """The workspace, and those within it that membership inference trains in."""
    inner = sorted(path for path in (workspace.root / "membership").glob("*") if path.is_dir())
    return [workspace, *(Workspace(path, workspace.reports) for path in inner)]


def _of_error(stage: str, where: Path, error: DkvbError) -> Problem:
    """A problem from an error, whose text ends in what to do."""
    what, _, remedy = str(error).partition(": ")
    return Problem(stage=stage, where=str(where), what=what, remedy=remedy)


def _artifact(workspace: Workspace, artifact: Artifact) -> Iterator[Problem]:
    """What is wrong with an artifact's files, and with what it was made from."""
    wrong = artifact.wrong_files(chunks=True, afresh=True)
    units = artifact.stage in ("embed", "quantize")
    for name, what in wrong.items():
        # a shard or a codebook is made again by itself
        remedy = artifact.remedy(force=None if units and "/c/" in name else artifact.stage != "retrained")
        yield Problem(stage=artifact.stage, where=str(artifact.path / name), what=what, remedy=remedy)
    if artifact.content is None and not wrong:
        for name in arrays.unsound(artifact):
            what = f"{name} does not match its checksums"
            yield Problem(stage=artifact.stage, where=str(artifact.path / name), what=what, remedy=artifact.remedy())
    try:
        above = content.input_artifacts(workspace.root, artifact.inputs)
    except DkvbError:
        return  # it is listed itself
    for one in content.changed_inputs(artifact, above):
        what, remedy = content.in_words(artifact, one), content.remedy(artifact, one)
        yield Problem(stage=artifact.stage, where=str(artifact.path), what=what, remedy=remedy)


def _requests(workspace: Workspace) -> Iterator[Problem]:
    """Requests that cannot be read, with their masks, values and rows; and masks of another model."""
    try:
        every = requests.all_requests(workspace)
    except DkvbError as error:
        yield _of_error("requests", requests.folder(workspace), error)
        return
    for request in every:
        try:
            trained = _model(workspace, request)
            if trained and request.in_force:
                requests.refuse_of_other(trained, [request])
            _ = request.mask(), request.rows
            if request.record.exact and request.record.exact.file:
                request.values()
        except DkvbError as error:
            yield _of_error("requests", request.path, error)
        if request.record.purging:
            what = f"the purge of request {request.id} did not come to its end"
            remedy = f"`dkvb purge {request.id} --yes` ends it."
            yield Problem(stage="requests", where=str(request.path), what=what, remedy=remedy)


def _model(workspace: Workspace, request: Request) -> Artifact | None:
    """The bottleneck of a request; None where it is gone, or its manifest is damaged and listed itself."""
    try:
        return content.input_artifacts(workspace.root, {"train": request.train}).get("train")
    except DkvbError:
        return None


def _ledger(workspace: Workspace) -> Iterator[Problem]:
    """The ledger, and receipts that are not those that it names."""
    try:
        checked = ledger.verify(workspace)
    except DkvbError:
        return  # a request cannot be read: it is listed itself
    for what in checked.problems:  # each begins with the entry, request or receipt that it is about
        kind, identity = what.split(" ", 2)[:2]
        if kind == "receipt":
            file = workspace.root / RECEIPTS / f"{identity}.json"
            remedy = f"`dkvb receipt {identity}` issues another."
            yield Problem(stage="receipts", where=str(file), what=what, remedy=remedy)
        else:
            remedy = "Put it back from a backup; `dkvb ledger` shows what is left of it."
            yield Problem(stage="ledger", where=checked.path, what=what, remedy=remedy)


def _receipts(workspace: Workspace) -> Iterator[Problem]:
    """Pages and copies of receipts that are as they were issued."""
    for identity, file, what in receipt_files.wrong(workspace):
        yield Problem(stage="receipts", where=str(file), what=what, remedy=f"`dkvb receipt {identity}` makes it again.")


def _last_recipe(workspace: Workspace) -> Iterator[Problem]:
    try:
        last_recipe.read(workspace.root)
    except DkvbError:
        file, remedy = workspace.root / LAST_RECIPE, "The next command that is given --recipe and writes mends it."
        what = f"{LAST_RECIPE}, which says what recipe was last used here, is damaged"
        yield Problem(stage="recipe", where=str(file), what=what, remedy=remedy)


def _report(workspace: Workspace) -> Iterator[Problem]:
    for name, what in written.wrong(workspace.reports).items():
        remedy = "`dkvb report` makes it again."
        yield Problem(stage="report", where=str(workspace.reports / name), what=what, remedy=remedy)


def _exports(workspace: Workspace) -> Iterator[Problem]:
    """Exports that lie within the workspace, at its top or one folder below."""
    for folder in sorted(filter(_is_export, {file.parent for file in _below(workspace, CONFIG, TENSORS)})):
        try:
            read_export(folder)
        except DkvbError as error:
            yield _of_error("export", folder, error)


def _onnx_exports(workspace: Workspace, unchecked: list[Unchecked]) -> Iterator[Problem]:
    """The same, of those for ONNX; without onnx they are not looked into."""
    for file in sorted(_below(workspace, ONNX)):
        try:
            config = onnx_file.read(file)
            if not onnx_file.labels_fit(file, config):
                what, remedy = f"has other names than {ONNX}, or another order", "Export again."
                yield Problem(stage="export", where=str(file.with_name(LABELS)), what=what, remedy=remedy)
        except UsageError as error:  # no onnx here, or somebody else's file
            unchecked.append(Unchecked(where=str(file), why=str(error)))
        except DkvbError as error:
            yield _of_error("export", file, error)


def _below(workspace: Workspace, *names: str) -> set[Path]:
    """Files of some names in folders at the workspace's top or one below."""
    return {file for depth in ("*", "*/*") for name in names for file in workspace.root.glob(f"{depth}/{name}")}


def _is_export(folder: Path) -> bool:
    """Whether `dkvb export` wrote a folder: its config says so or, where that is damaged or gone, the other files."""
    try:
        if json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("kind") == "dkvb":
            return True
    except (OSError, ValueError, AttributeError):
        pass
    return (folder / TENSORS).is_file() and (folder / LABELS).is_file()
