"""Whether single samples are forgotten: the values that stand against values of a model that never had them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dkvb.deletion.exact import without
from dkvb.deletion.membership import losses
from dkvb.deletion.standing import Stand, stand
from dkvb.evaluation.seed import TrainedSeed
from dkvb.records.deletion import ForgottenSamples
from dkvb.records.verdict import Check
from dkvb.workspace.requests import PURGED, Request, unite


def forgotten_samples(trained: TrainedSeed, mask: np.ndarray, requests: Sequence[Request]) -> Iterator[Check]:
    """A check of every request that forgets single samples: the share of pairs whose values differ from those of a
    model that was trained without them, which must be none; and the samples' mean loss by either.

    Args:
        trained: the model with the values that stand.
        mask: (C, M) bool, the pairs that are masked in it.
        requests: all that are in force.
    """
    standing = stand(requests)
    if standing is None:  # new keys, on which everything was trained without them
        return
    differing = _differing(trained, standing, requests)
    for request in requests:
        if request.record.samples:
            detail = _detail(trained, mask, request, request.record.samples, differing)
            yield samples_forgotten(f"samples forgotten: {request.id}", differing, detail)


def samples_forgotten(name: str, differing: float, detail: str) -> Check:
    """Passed where values are to the bit those of a model that never had the samples.

    Args:
        differing: share of the values, in [0, 1], that are not.
        detail: what was found, in words that begin a sentence but for their case.
    """
    return Check(
        name=name,
        passed=differing == 0,
        state="failed" if differing else "passed",
        value=differing,
        threshold=0.0,
        sentence=f"{detail[0].upper()}{detail[1:]}.",
        detail=detail,
    )


def _differing(trained: TrainedSeed, standing: Stand, requests: Sequence[Request]) -> float:
    """The share of pairs whose values are not those of a model that was trained without all that they are to be
    without, to the bit. Pairs that a purge of later requests has zeroed since do not count."""
    exact = standing.request.record.exact
    assert trained.standing is not None
    assert exact is not None
    union = unite(standing.without, exact=False)
    later = [one for one in requests if one.state == PURGED and one.id not in exact.without]
    if later:  # rows that these values were trained on are gone: their file, checked by its hash, is what is left
        return 0.0
    never = without(trained, union.classes, union.rows).values
    return float((never != trained.standing[0]).any(2).mean())


def _detail(
    trained: TrainedSeed, mask: np.ndarray, request: Request, samples: ForgottenSamples, differing: float
) -> str:
    same = "equal to the bit to" if differing == 0 else "not those of"
    said = f"values are {same} a model that never had the {samples.count:,} samples"
    loss, unseen = samples.loss, samples.loss.unseen
    if request.state == PURGED:
        said += f"; before they were purged their mean loss was {loss.after:.3f}"
    else:
        now, _ = losses(trained, (trained.no_mask < 0) | mask, request.rows)
        said += f"; their mean loss is {now.mean():.3f}"
    said += f", and {loss.before:.3f} while they were known"
    return said if unseen is None else f"{said}; test samples of the same classes have {unseen:.3f}"
