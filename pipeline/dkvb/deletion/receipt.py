"""The receipt of a request: what was asked, done and measured, as JSON and as a page, its hash in the ledger."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dkvb.deletion import ledger
from dkvb.metrics.proportions import accuracy
from dkvb.runtime import progress
from dkvb.runtime.versions import versions
from dkvb.workspace import requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import sha256, write_json, write_text
from dkvb.workspace.requests import MASKED, PURGED, Request

FOLDER = "receipts"


def run(workspace: Workspace, wanted: str) -> dict[str, Any]:
    """Write a request's receipt, `receipts/<id>.json` and `.html`; the same again where nothing has changed since.

    Raises:
        UsageError: there is no such request.
        DamagedArtifact: the ledger was altered.
    """
    with requests.held(workspace):
        ledger.catch_up(workspace)
        request = requests.find(workspace, wanted)
        path = workspace.root / FOLDER / f"{request.id}.json"
        entry = _issued(workspace, request, path)
        skipped = entry is not None
        if entry is None:
            known = ledger.entries(workspace)
            write_json(path, _receipt(workspace, request, str(known[-1]["hash"]) if known else ledger.START))
            entry = ledger.append(workspace, "receipt", request, state=request.state, receipt=sha256(path))
        receipt = json.loads(path.read_text(encoding="utf-8"))
        page = path.with_suffix(".html")
        write_text(page, _page(receipt, entry))
        progress.note(f"receipt of {request.id}: {page}")
        return (
            receipt
            | {"receipt_sha256": entry["receipt"], "entry": entry["number"], "path": str(path), "page": str(page)}
            | {"skipped": skipped}
        )


def _issued(workspace: Workspace, request: Request, path: Path) -> dict[str, Any] | None:
    """The ledger's entry of a receipt that still stands: the last event of its request, and its file as it was."""
    last = [entry for entry in ledger.entries(workspace) if entry["request"] == request.id][-1:]
    if last and last[0]["event"] == "receipt" and path.is_file() and sha256(path) == last[0]["receipt"]:
        return last[0]
    return None


def _receipt(workspace: Workspace, request: Request, previous: str) -> dict[str, Any]:
    data = request.data
    purge = data.get("purge")
    return {
        "request": request.id,
        "state": request.state,
        "classes": [{"id": c, "name": name} for c, name in zip(request.classes, request.names, strict=True)],
        "model": {
            "train": request.train,
            "seed": data["seed"],
            "before_sha256": data.get("model_before_sha256"),
            "after_sha256": data.get("model_after_sha256"),
            "of": "sha256 over the packed mask and the values of all pairs that it allows",
        },
        "method": data["method"],
        "settings": data["settings"],
        "masked": data.get("masked_before_reinit", data["masked"]),
        "pairs_total": data["pairs_total"],
        "measures": _measures(data),
        "purge": purge,
        "seconds": {"masking": data["seconds"], "forget": data["seconds_total"], "purge": purge and purge["seconds"]},
        "times": {
            "forgotten": data["created"],
            "restored": data.get("restored"),
            "purged": purge and purge["finished"],
            "issued": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "versions": versions(),
        "previous": previous,
        "done": _done(request),
        "not_claimed": _not_claimed(request),
    }


def _measures(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Accuracy of the forgotten and of the other classes, before and after, with Wilson's 95 % interval."""
    rows = []
    for split in ("validation", "test"):
        total = data["correct"].get(f"{split}_total")
        for what in ("forget", "retain") if total else ():
            mine = [
                c
                for c in range(len(total))
                if (c in data["classes"]) == (what == "forget") and c not in data["earlier"]
            ]
            for when in ("before", "after"):
                correct = data["correct"][f"{split}_{when}"]
                found = accuracy(sum(correct[c] for c in mine), sum(total[c] for c in mine))
                rows.append({"what": what, "split": split, "when": when} | dict(found or {}))
    return rows


def _done(request: Request) -> list[str]:
    """What was done, in words."""
    data, purge = request.data, request.data.get("purge")
    said = [
        f"{data.get('masked_before_reinit', data['masked']):,} of {data['pairs_total']:,} key-value pairs were masked:"
        " never selected."
    ]
    if request.state == requests.RESTORED:
        return [*said, "The request was taken back: its mask no longer applies."]
    if request.state == MASKED or purge is None:
        return [
            *said,
            "Nothing is erased yet: values, features and codes are on disk, and `dkvb restore` takes the mask back.",
        ]
    rows, scan = purge["rows"], purge["scan"]
    said += [
        "The values of those pairs were overwritten with zeros.",
        (
            f"{rows['train']:,} training and {rows['test']:,} test samples were erased from features, ids, codes and"
            " neighbour lists, with the selection counts of their classes and the rows of their classes in the linear"
            " head."
        ),
    ]
    gone = [*purge["deleted"], *purge["done"]["artifacts"]]
    if gone:
        said.append(f"Deleted, since they were trained with the classes, or unfinished: {', '.join(gone)}.")
    said.append(
        f"All {scan['files']:,} files of workspace and reports ({scan['bytes']:,} bytes, unpacked ones included) were"
        f" scanned for {scan['needles']:,} marks of the erased rows and values: none was found."
    )
    if purge["shared_rows"]:
        said.append(
            f"{purge['shared_rows']:,} erased samples are equal to samples that stay, and could not be looked for."
        )
    return said


def _not_claimed(request: Request) -> list[str]:
    """What a reader might think and is not said."""
    said = [
        "The frozen encoder is untouched: whatever it learned elsewhere about these classes, it still knows.",
        (
            "The original data, outside of the workspace, are untouched, and so are backups, snapshots, exports and"
            " copies made elsewhere, and old blocks that a disk or file system may keep after a file was overwritten."
        ),
        "No legal conclusion is drawn: whether this answers a request for erasure is for the reader to judge.",
    ]
    if request.state == PURGED:
        if request.data["purge"]["keys"] == "reinit":
            said.append("Keys were fitted anew and values trained again, without the classes.")
        else:
            said.append(
                "The keys were fitted with the classes present and were kept, as were those of the masked pairs."
            )
        said.append(
            "Kept: where erased samples stood and of which class they were, the mask, and aggregates such as accuracies"
            " and curves."
        )
        if request.data["purge"]["keys"] != "reinit":
            said.append(
                "Pairs that stay were trained together with these classes: what they hold for the other classes was not"
                " trained again."
            )
    else:
        said.append("A mask hides and does not erase: with the files, it can be lifted.")
    return said


def _page(receipt: dict[str, Any], entry: dict[str, Any]) -> str:
    from dkvb.pages.page import render

    return render("receipt.html", r=receipt, entry=entry)
