"""The pictures of a run's page, and of a bottleneck's: of the first seed, under the mask that the page is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dkvb.pages.facts import look_ups
from dkvb.pages.facts.answers import answers
from dkvb.pages.facts.insight import UNREADABLE, Mask
from dkvb.pages.facts.pair_pictures import PairPictures, pair_pictures
from dkvb.pages.facts.pictures import Samples, Sheet, samples
from dkvb.pages.facts.runs import Collected, MethodResult, ReportRun
from dkvb.pages.facts.setups import Setup, Trained
from dkvb.pictures.album import Album

RUNS, MASKS = 12, 3
"""Runs of a bottleneck whose pages have pictures, and whose masked pairs are shown, the most recent ones: finding out
what every sample is taken for takes as long as measuring a mask."""


@dataclass(frozen=True)
class RunPictures:
    """What the page of a run shows in pictures."""

    result: MethodResult
    """The masking that they are about."""
    seed: int
    samples: Samples | None
    """None where its classes were purged."""


@dataclass(frozen=True)
class MaskPictures:
    """Pairs of one mask, with the training images that they stand for."""

    label: str
    seed: int
    pairs: list[PairPictures] = field(default_factory=list)


def album_of(collected: Collected, run: ReportRun) -> Album | None:
    """Where the pictures of a run come from; None where its page has none."""
    mine = [other for other in collected.runs if other.setup is run.setup]
    return collected.album if run in mine[:RUNS] else None


def run_pictures(run: ReportRun, album: Album | None) -> RunPictures | None:
    """None where there is nothing to show: no images, no pictures wanted, or no mask that can be read."""
    if album is None or album.state(run.setup.embed) is None:
        return None
    masking = [result for method in run.masking if (result := run.find(method)) and result.setup is run.setup]
    if not masking or (found := _first(masking[0], run.setup)) is None:
        return None
    trained, mask = found
    if set(run.forget) <= set(trained.artifact.purged):
        return RunPictures(masking[0], trained.seed, None)
    try:
        of = answers(trained, mask, run.forget)
    except UNREADABLE:
        return None  # the page about the bottleneck says what is damaged
    shown = samples(Sheet(album, run.setup.embed), of, run.forget, run.setup.classes)
    return RunPictures(masking[0], trained.seed, shown) if shown.any else None


def mask_pictures(setup: Setup, masks: Sequence[Mask], album: Album | None) -> list[MaskPictures]:
    """Of the leading masks of the most recent runs, without those of which there is no picture."""
    if album is None or album.state(setup.embed) is None:
        return []
    sheet, shown = Sheet(album, setup.embed), []
    leading = list({one.run.forget: one for one in reversed(masks)}.values())[::-1]
    for one in leading[:MASKS]:
        if (found := _first(one.result, setup)) is None:
            continue
        trained, mask = found
        try:
            pairs = pair_pictures(sheet, trained, mask, one.run.forget, look_ups.Counts(trained))
        except UNREADABLE:
            continue
        if pairs:
            shown.append(MaskPictures(one.label, trained.seed, pairs))
    return shown


def _first(result: MethodResult, setup: Setup) -> tuple[Trained, np.ndarray] | None:
    """The model and the mask (C, M) of a result's first seed; None where one of them is gone or damaged."""
    artifact = result.artifacts[0]
    trained = next((one for one in setup.seeds if one.artifact.fingerprint == artifact.inputs["train"]), None)
    if trained is None or trained.keys_result is None:
        return None
    try:
        return trained, look_ups.mask_of(artifact, trained.keys_result.pairs)
    except UNREADABLE:
        return None
