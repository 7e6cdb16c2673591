"""The same samples of a forgotten class under every method that masks pairs: what each takes them for, in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dkvb.evaluation.under_masks import masked_logits_at
from dkvb.metrics.evenly import evenly
from dkvb.pages.facts import look_ups, methods
from dkvb.pages.facts.asked import UNREADABLE, hidden, orders, whole
from dkvb.pages.facts.pictures import ROOM, Picture, Sheet, class_name
from dkvb.pages.facts.runs import ReportRun
from dkvb.pages.facts.setups import Trained
from dkvb.pictures.album import Album
from dkvb.pictures.index import Row
from dkvb.workspace.finished import Artifact

SETS, SAMPLES = 4, 8
"""Forget sets that are shown, and samples of each."""


@dataclass(frozen=True)
class Answer:
    """What one method takes a sample for, by name."""

    method: str
    title: str
    answer: str


@dataclass(frozen=True)
class Subject:
    """A test sample: its class, what it was taken for, and what every method takes it for."""

    picture: Picture
    label: str
    before: str
    after: list[Answer]

    @property
    def alt(self) -> str:
        """The picture in words."""
        said = ", ".join(f"{one.title}: {one.answer}" for one in self.after)
        return f"A test sample of {self.label}, taken for {self.before} before; {said}"


@dataclass(frozen=True)
class SideBySide:
    """Samples of one forget set, on one seed."""

    run: ReportRun
    seed: int
    samples: list[Subject]


def side_by_side(runs: Sequence[ReportRun], album: Album | None) -> list[SideBySide]:
    """Of the first runs, where there are images; those whose samples were purged, or whose masks cannot be
    read, are left out."""
    if album is None:
        return []
    room, shown = ROOM, []
    for run in runs[:SETS]:
        if album.state(run.setup.embed) is None:
            continue
        sheet = Sheet(album, run.setup.embed, room)
        found = _of(run, sheet)
        room = sheet.room
        if found and found.samples:
            shown.append(found)
    return shown


def _of(run: ReportRun, sheet: Sheet) -> SideBySide | None:
    for trained in run.setup.seeds:
        masks = _masks(run, trained)
        if masks and not trained.artifact.lost_rows:
            try:
                return SideBySide(run, trained.seed, _samples(run, trained, masks, sheet))
            except UNREADABLE:  # the page about the bottleneck says what is damaged
                return None
    return None


def _masks(run: ReportRun, trained: Trained) -> dict[str, Artifact]:
    """Method -> the artifact that holds its mask of one seed."""
    results = {method: run.find(method) for method in run.masking}
    return {
        method: artifact
        for method, result in results.items()
        if result and result.setup is run.setup
        for artifact in result.artifacts
        if artifact.inputs["train"] == trained.artifact.fingerprint
    }


def _samples(run: ReportRun, trained: Trained, masks: dict[str, Artifact], sheet: Sheet) -> list[Subject]:
    classes = run.setup.classes
    with whole(trained) as model:
        labels = model.splits.labels["test"]
        rows = evenly(np.flatnonzero(np.isin(labels, list(run.forget))), SAMPLES)
        order, _ = orders(model, trained, run.forget)
        before = masked_logits_at(model, order, [0], "test", rows)[0].argmax(1)
        answered = {}
        for method, artifact in masks.items():
            masked = hidden(order, look_ups.mask_of(artifact, model.pairs))
            answered[method] = masked_logits_at(model, masked, [1], "test", rows)[0].argmax(1)
    keys: list[Row] = [("test", int(row)) for row in rows]
    pictures = sheet.of(keys)
    return [
        Subject(
            picture=pictures[key],
            label=class_name(labels[rows[place]], classes),
            before=class_name(before[place], classes),
            after=[Answer(one, methods.title(one), class_name(said[place], classes)) for one, said in answered.items()],
        )
        for place, key in enumerate(keys)
        if key in pictures
    ]
