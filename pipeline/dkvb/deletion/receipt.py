"""The receipt of a request: what was asked, done and measured, as JSON and as a page, its hash in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from dkvb.deletion import ledger
from dkvb.deletion.receipt_files import ENVELOPE, dress
from dkvb.records.deletion import RequestRecord
from dkvb.records.ledger import (
    LedgerEntry,
    NamedClass,
    Receipt,
    ReceiptEntry,
    ReceiptMeasure,
    ReceiptModel,
    ReceiptSeconds,
    ReceiptTimes,
)
from dkvb.records.proportions import Accuracy
from dkvb.records.purges import PurgeRecord
from dkvb.runtime import progress
from dkvb.runtime.versions import versions
from dkvb.workspace import locks, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import sha256, write_json
from dkvb.workspace.names import RECEIPTS
from dkvb.workspace.requests import PURGED, RESTORED, Request


def run(workspace: Workspace, wanted: str) -> ReceiptEntry:
    """Write a request's receipt, `receipts/<id>.json` and `.html`; the same again where nothing has changed since.

    Raises:
        UsageError: there is no such request.
        DamagedArtifact: the ledger was altered.
    """
    with requests.held(workspace):
        with locks.unless_read_only(workspace.root):
            ledger.catch_up(workspace)
        request = requests.find(workspace, wanted)
        path = workspace.root / RECEIPTS / f"{request.id}.json"
        entry = _standing(workspace, request, path)
        skipped = entry is not None
        if entry is None:
            known = ledger.entries(workspace)
            issued = _receipt(request.record.public(), known[-1].hash if known else ledger.START)
            new = path.with_name(f"{path.name}.new")
            write_json(new, issued.model_dump(mode="json"))
            entry = ledger.append(workspace, "receipt", request, state=request.state, receipt=sha256(new))
            new.replace(path)  # killed before this line, the next call does it
        receipt = Receipt.model_validate_json(path.read_bytes())
        with locks.unless_read_only(workspace.root) if skipped else nullcontext():
            dress(workspace, request, receipt, entry, path)
        envelope, page = path.with_suffix(ENVELOPE), path.with_suffix(".html")
        progress.note(f"receipt of {request.id}: {page}")
        return ReceiptEntry(
            **dict(receipt),
            receipt_sha256=sha256(path),
            entry=entry.number,
            head=entry.hash,
            envelope=str(envelope) if envelope.is_file() else None,
            path=str(path),
            page=str(page),
            skipped=skipped,
        )


def _standing(workspace: Workspace, request: Request, path: Path) -> LedgerEntry | None:
    """The ledger's entry of a receipt that still stands: the last event of its request, and its file as it was."""
    of_request = [entry for entry in ledger.entries(workspace) if entry.request == request.id]
    last = of_request[-1] if of_request else None
    if last is None or last.event != "receipt":
        return None
    new = path.with_name(f"{path.name}.new")
    if new.is_file() and sha256(new) == last.receipt:
        new.replace(path)
    return last if path.is_file() and sha256(path) == last.receipt else None


def _receipt(record: RequestRecord, previous: str) -> Receipt:
    purge = record.purge
    return Receipt(
        request=record.id,
        state=record.state,
        level=record.reached,
        level_in_words=record.level_in_words,
        samples=record.samples.count if record.samples else None,
        samples_sha256=record.samples.rows_sha256 if record.samples else None,
        classes=[NamedClass(id=c, name=name) for c, name in zip(record.classes, record.names, strict=True)],
        model=ReceiptModel(
            train=record.train,
            seed=record.seed,
            before_sha256=record.model_before_sha256,
            after_sha256=record.model_after_sha256,
            of="sha256 over the packed mask and the values of all pairs that it allows",
        ),
        method=record.method,
        settings=record.settings,
        masked=record.masked_at_first,
        pairs_total=record.pairs_total,
        measures=_measures(record),
        purge=purge,
        seconds=ReceiptSeconds(
            masking=record.seconds, forget=record.seconds_total, purge=purge.seconds if purge else None
        ),
        times=ReceiptTimes(
            forgotten=record.created,
            restored=record.restored,
            purged=purge.finished if purge else None,
            issued=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
        versions=versions(),
        previous=previous,
        done=_done(record),
        not_claimed=_not_claimed(record),
    )


def _measures(record: RequestRecord) -> list[ReceiptMeasure]:
    """Accuracy of the forgotten and of the other classes, before and after, with Wilson's 95 % interval."""
    measures = []
    sides: tuple[Literal["forget", "retain"], ...] = ("forget", "retain")
    times: tuple[Literal["before", "after"], ...] = ("before", "after")
    for split in ("validation", "test"):
        total = record.correct.of(split, "total")
        if total is None:
            continue
        for side in sides:
            mine = [
                c for c in range(len(total)) if (c in record.classes) == (side == "forget") and c not in record.earlier
            ]
            for when in times:
                correct = record.correct.of(split, when) or []
                measured = Accuracy.of(sum(correct[c] for c in mine), sum(total[c] for c in mine))
                measures.append(ReceiptMeasure(what=side, split=split, when=when, **dict(measured or {})))
    return measures


def _done(record: RequestRecord) -> list[str]:
    """What was done, in words."""
    if record.level == "exact":
        return list(_done_exactly(record))
    masked = [f"{record.masked_at_first:,} of {record.pairs_total:,} key-value pairs were masked: never selected."]
    masked += [
        f"{raised.pairs:,} further pairs were masked after request {raised.cause}:"
        f" {raised.recognised:.1%} of a class's rows had been recognised again."
        for raised in record.topped_up or []
    ]
    if record.state == RESTORED:
        return [*masked, "The request was taken back: its mask no longer applies."]
    if record.state != PURGED or record.purge is None:
        return [
            *masked,
            "Nothing is erased yet: values, features and codes are on disk, and `dkvb restore` takes the mask back.",
        ]
    return [*masked, *_erased(record.purge)]


def _done_exactly(record: RequestRecord) -> Iterator[str]:
    """The same of an exact request."""
    exact, told = record.exact, record.samples
    if exact:
        beside = "" if len(exact.without) == 1 else f", and without all that {', '.join(exact.without[:-1])} forget"
        yield (
            f"The values were trained again from the start on the cached codes, without {record.what}{beside}: training"
            " is deterministic, so that they are equal to the bit to those of a model that never had these rows, on the"
            f" same keys. It took {exact.seconds:.1f} s."
        )
    if told:
        loss = told.loss
        unseen = "" if loss.unseen is None else f"; on test samples of the same classes it is {loss.unseen:.3f}"
        yield (
            f"Mean loss on the forgotten samples: {loss.before:.3f} before, {loss.after:.3f} afterwards{unseen}."
            f" {told.correct_before:,} of {told.count:,} were recognised before, {told.correct_after:,} afterwards."
        )
    if record.state == RESTORED:
        yield "The request was taken back: those values no longer stand."
    elif record.purge is None:
        yield "Nothing is erased yet: earlier values, features and codes are on disk, and `dkvb restore` takes it back."
    else:
        yield from _erased(record.purge, exactly=True)


def _erased(purge: PurgeRecord, exactly: bool = False) -> list[str]:
    classes = ", with the selection counts of their classes and the rows of their classes in the linear head"
    values = "The values of those pairs were overwritten with zeros."
    if exactly:
        values = "The values of training were overwritten, and values that were trained without it took their place."
        classes = ", and from the selection counts"
    said = [
        values,
        f"{purge.rows.train:,} training and {purge.rows.test:,} test samples were erased from features, ids, codes and"
        f" neighbour lists{classes}.",
    ]
    if gone := [*purge.deleted, *purge.done.artifacts]:
        said.append(f"Deleted, since they were trained with the classes, or unfinished: {', '.join(gone)}.")
    said.append(
        f"All {purge.scan.files:,} files of workspace and reports ({purge.scan.bytes:,} bytes, unpacked ones included)"
        f" were scanned for {purge.scan.needles:,} marks of the erased rows, values and pictures: none was found."
    )
    if purge.scan.names:  # where none can be looked for, nothing is said to have been
        said.append(
            f"They were scanned for the ids and file names of {purge.scan.names:,} erased samples as well: none was"
            " found."
        )
    if purge.scan.names is not None:
        said.append("The marks were overwritten afterwards.")
    if purge.shared_rows:
        said.append(
            f"{purge.shared_rows:,} erased samples are equal to samples that stay, and could not be looked for."
        )
    if purge.unnamed_rows:
        said.append(
            f"The ids of {purge.unnamed_rows:,} erased samples have fewer than 8 characters, or are those of samples"
            " that stay as well, and could not be looked for."
        )
    return said


def _not_claimed(record: RequestRecord) -> list[str]:
    """What a reader might think and is not said."""
    said = [
        "The frozen encoder is untouched: whatever it learned elsewhere about these classes, it still knows.",
        "The original data, outside of the workspace, are untouched, and so are backups, snapshots, exports and copies"
        " made elsewhere, and old blocks that a disk or file system may keep after a file was overwritten.",
        "No legal conclusion is drawn: whether this answers a request for erasure is for the reader to judge.",
    ]
    if record.pseudonym:
        said.append(
            "Names are pseudonyms here and in the ledger. The names themselves still stand in the data set's list of"
            " classes and on pages that show it, and, until a purge, in the request."
        )
    if record.level == "exact" and (record.purge is None or record.purge.keys == "keep"):
        said.append("The keys were fitted with these samples present and were kept.")
    if record.level == "exact" and record.purge is None:
        return [*said, "The values of training are still on disk: with the files, they can be used again."]
    if record.state != PURGED or record.purge is None:
        return [*said, "A mask hides and does not erase: with the files, it can be lifted."]
    kept = (
        "Kept: where erased samples stood and of which class they were, the mask, and aggregates such as accuracies and"
        " curves."
    )
    if record.purge.keys == "reinit":
        return [*said, "Keys were fitted anew and values trained again, without the classes.", kept]
    if record.level == "exact":
        return [*said, kept]
    return [
        *said,
        "The keys were fitted with the classes present and were kept, as were those of the masked pairs.",
        kept,
        "Pairs that stay were trained together with these classes: what they hold for the other classes was not trained"
        " again.",
    ]
