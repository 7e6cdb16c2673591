"""Made-up records of deletion requests: whole ones, whose numbers mean nothing."""

from __future__ import annotations

from collections.abc import Sequence

from conftest import CLASSES
from dkvb.records.accuracies import Accuracies
from dkvb.records.masking import CorrectCounts, Masking, MaskSettings
from dkvb.records.purges import Erased, Keys, PurgeRecord, Scan, SplitRows


def a_masking(*classes: int) -> Masking:
    """What a request for some classes holds."""
    five, half = [5] * len(CLASSES), [0.5] * len(CLASSES)
    measured = Accuracies(retain_test=0.5, forget_test=0.5, retain_train=0.5, forget_train=0.5)
    return Masking(
        names=[CLASSES[c] for c in classes],
        classes=list(classes),
        seed=0,
        method="activations",
        settings=MaskSettings(n=4, n_name="N_a", given=4, counts="last-epoch"),
        masked=4,
        newly_masked=4,
        masked_together=4,
        allowed=12,
        pairs_total=16,
        earlier=[],
        model_before_sha256="a" * 64,
        model_after_sha256="b" * 64,
        before=measured,
        after=measured,
        correct=CorrectCounts(test_before=five, test_after=five, test_total=[10] * len(CLASSES)),
        per_class_test_before=half,
        per_class_test_after=half,
        seconds=0.1,
        seconds_total=0.2,
    )


def a_purge(keys: Keys, together: Sequence[str]) -> PurgeRecord:
    """A purge that has ended and found nothing."""
    return PurgeRecord(
        keys=keys,
        started="2026-01-01T00:00:00+00:00",
        rows=SplitRows(train=1, test=1),
        shared_rows=0,
        deleted=[],
        done=Erased(values={}, codes=[], heads=[], artifacts=[]),
        scan=Scan(files=1, bytes=1, needles=1, found={}, unreadable=[]),
        before_sha256="a" * 64,
        together=list(together),
        finished="2026-01-01T00:00:01+00:00",
        seconds=1.0,
        after_sha256="b" * 64,
    )
