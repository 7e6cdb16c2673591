"""What is still in a model: relearning it and probing it need the model itself, and not only what it answers.

Both are taken of a few models of each kind: unlearned ones, originals, and retrained ones, which are trained again for
it, since an audit keeps of them no more than their answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dkvb.audit.bench import Bench
from dkvb.audit.oracles import tensors_of
from dkvb.audit.relearning import Learner, Lesson, Samples, ValuesLesson, relearned
from dkvb.audit.rows import ASKED
from dkvb.audit.scene import FEWEST
from dkvb.bottleneck.lookup import NONE
from dkvb.bottleneck.values import codebook_logits
from dkvb.evaluation.selections import masked_ids
from dkvb.metrics.evenly import evenly
from dkvb.metrics.over_models import mean_interval
from dkvb.metrics.probing import probe, probe_scores
from dkvb.metrics.relearned import Relearned, ain
from dkvb.metrics.separation import separates
from dkvb.records.audit import Kind, LeftOut, Measured
from dkvb.workspace.finished import Artifact

KEPT = 3
"""Models of each kind that are relearned and probed."""

TRIED = (1, 2, 5, 10, 20, 50)
"""Samples of the class that relearning tries."""

EACH = 200
"""Rows of the forgotten classes that a probe learns on at most, and twice as many others."""

Tensors = dict[str, np.ndarray]

APART: dict[Kind, str] = {
    "ridge": "a ridge regression is solved, not trained, and its random features are fixed",
    "values-keys": "retrained models have keys of their own: see the same of kind values",
}
"""Kinds of which neither is taken, and why."""

NO_MODEL = "what is left is a rule on answers, not a model that could be trained or looked into"


@dataclass
class Remains:
    """What a few models of one kind still hold, beside the same of retrained models and of originals.

    Args:
        oracles: batches of retrained models.
    """

    bench: Bench
    oracles: Sequence[Artifact]

    def measures(self, models: Sequence[Tensors]) -> list[Measured | LeftOut]:
        """Of unlearned models, see `dkvb.audit.unlearned.Unlearned.tensors`; every measure, or why it is missing."""
        found: list[Measured | LeftOut] = [self.features]
        names = ("relearning", "anamnesis index", "probe of pooled values")
        if reason := APART.get(self.bench.kind):
            return [*found, *(LeftOut(name=name, reason=reason) for name in names)]
        if not models or not models[0]:
            return [*found, *(LeftOut(name=name, reason=NO_MODEL) for name in names)]
        found += self._relearning([self._relearn(model) for model in models])
        return [*found, self._pooled(models)]

    def of_line(self, line: str) -> list[Measured | LeftOut]:
        """The same of originals, or of retrained models."""
        if self.bench.kind in APART:
            return self.measures([])
        return self.measures(self._originals if line == "original" else self._retrained)

    # the rows

    @cached_property
    def _held_out(self) -> np.ndarray:
        """Places among the bench's rows of held-out rows of the forgotten classes; of test data where it has any."""
        rows = self.bench.rows
        mine = np.isin(rows.labels, self.bench.forget)
        for split in ASKED:
            if (found := np.flatnonzero(mine & (rows.split == split))).size:
                return found
        return np.empty(0, np.int64)

    @cached_property
    def _probed(self) -> tuple[np.ndarray, np.ndarray]:
        """Places of held-out rows to probe, and which (n,) bool are of the forgotten classes."""
        rows = self.bench.rows
        mine, unseen = np.isin(rows.labels, self.bench.forget), rows.split != "train"
        known = evenly(np.flatnonzero(mine & unseen), EACH)
        sides = known, evenly(np.flatnonzero(~mine & unseen), 2 * len(known))
        return np.concatenate(sides), np.repeat([True, False], [len(side) for side in sides])

    @property
    def _too_few(self) -> bool:
        return min(int(self._probed[1].sum()), int((~self._probed[1]).sum())) < FEWEST

    # relearning

    @cached_property
    def _samples(self) -> Samples:
        recipe, labels = self.bench.trained.recipe, self.bench.trained.splits.labels["train"]
        settings = recipe.train if self._of_values else recipe.linear
        return Samples(labels, settings, self.bench.trained.seed)

    @property
    def _of_values(self) -> bool:
        return self.bench.kind == "values"

    @cached_property
    def _tried(self) -> tuple[int, ...]:
        there = int(np.isin(self._samples.labels, self.bench.forget).sum())
        return tuple(n for n in TRIED if n <= there) or (1,)

    @cached_property
    def _learner(self) -> Callable[[Tensors], Learner]:
        rows, trained, places = self.bench.rows, self.bench.trained, self._held_out
        labels = rows.labels[places]
        if not self._of_values:
            lesson = Lesson(self.bench.data.train, self._samples, self.bench.asked[places], labels)
            return lambda model: lesson.learner(model["weight"], model["bias"])
        of_values = ValuesLesson(
            trained.bottleneck, self._samples, str(rows.split[places[0]]), rows.places[places], labels
        )
        return lambda model: of_values.learner(model["values"], model["masked"], model.get("excluded", ()))

    @cached_property
    def _before(self) -> float:
        """What the first original knows of the class."""
        return next(iter(self._learner(self._original(0))(1)))

    def _relearn(self, model: Tensors) -> Relearned:
        return relearned(self._learner(model), self._before, self._tried)

    def _original(self, model: int) -> Tensors:
        return self._whole(self.bench.tensors(model))

    def _whole(self, tensors: Tensors) -> Tensors:
        """A trained model, as `Unlearned.tensors` would have it."""
        if "values" in tensors:
            return {**tensors, "masked": self.bench.trained.no_mask < 0}
        weight, bias = self.bench.trained.in_line.unfold(tensors["weight"], tensors["bias"])
        return {"weight": weight, "bias": bias}

    @cached_property
    def _retrained(self) -> list[Tensors]:
        """A few retrained models, trained again."""
        kept = min(KEPT, len(self.oracles[0].result["seconds"]))
        return [self._whole(tensors_of(self.bench.trained, self.oracles[0], model)) for model in range(kept)]

    @cached_property
    def _originals(self) -> list[Tensors]:
        held = sum(batch.result["models"] for batch in self.bench.originals)
        return [self._original(model) for model in range(min(KEPT, held))]

    @cached_property
    def _retrained_again(self) -> list[Relearned]:
        return [self._relearn(model) for model in self._retrained]

    @cached_property
    def _originals_again(self) -> list[Relearned]:
        return [self._relearn(model) for model in self._originals]

    def _relearning(self, found: list[Relearned]) -> list[Measured | LeftOut]:
        samples = self._counted(
            "relearning",
            [one.samples for one in found],
            [one.samples for one in self._retrained_again],
            [one.samples for one in self._originals_again],
            "Fewest samples of the class, of those tried, that bring it back to within 5 points of the original"
            " (Golatkar et al. 2020). On frozen features a few are enough for retrained models as well.",
        )
        over = self._retrained_again
        null = [ain(a, b) for i, a in enumerate(over) for j, b in enumerate(over) if i != j]
        index = self._counted(
            "anamnesis index",
            [ain(one, b) for one in found for b in over],
            null,
            [ain(one, b) for one in self._originals_again for b in over],
            "Epochs to relearn it from the most samples tried, over those of retrained models (Chundawat et al. 2023):"
            " below 1 traces are left.",
            intervals=False,
        )
        return [samples, index]

    def _counted(
        self,
        name: str,
        of: Sequence[float | None],
        null: Sequence[float | None],
        nothing: Sequence[float | None],
        note: str,
        intervals: bool = True,
    ) -> Measured | LeftOut:
        there, beside, idle = ([float(v) for v in values if v is not None] for values in (of, null, nothing))
        tried = f"tried: {', '.join(map(str, self._tried))} samples of each class"
        if not there:
            return LeftOut(name=name, reason=f"the class never came back, or retrained models had it at once ({tried})")
        missing = len(of) - len(there)
        note += f" {tried[0].upper()}{tried[1:]}; {len(there)} of {len(of)} counted."
        if missing:
            note += " The others never came back, and are left out of the mean."
        ends = mean_interval(np.array(there)) if intervals else None
        return Measured(
            name=name,
            value=float(np.mean(there)),
            low=ends[0] if ends else None,
            high=ends[1] if ends else None,
            null=float(np.mean(beside)) if beside else None,
            null_low=min(beside) if len(beside) > 1 else None,
            null_high=max(beside) if len(beside) > 1 else None,
            nothing=float(np.mean(idle)) if idle else None,
            direction="null",
            note=note,
        )

    # probes

    @cached_property
    def features(self) -> Measured | LeftOut:
        """What the frozen encoder knows of the class, whatever is done to what stands on it."""
        name = "probe of the encoder's features"
        if self._too_few:
            return LeftOut(name=name, reason=f"needs {FEWEST} held-out rows of the forgotten classes and of others")
        places, of_class = self._probed
        found = probe(self.bench.asked[places], of_class)
        return Measured(
            name=name,
            value=found.auc,
            low=found.auc_low,
            high=found.auc_high,
            null=found.auc,
            nothing=found.auc,
            direction="null",
            note="Area under the ROC curve of a logistic regression that tells forgotten rows from others by the"
            " encoder's features: the same for every method and for retrained models, as the encoder is frozen. What it"
            " knows of the class, no method takes away.",
        )

    def _pooled(self, models: Sequence[Tensors]) -> Measured | LeftOut:
        name = "probe of pooled values"
        if not self._of_values:
            return LeftOut(name=name, reason="a linear head has no pooled values: see the probe of logits")
        if self._too_few:
            return LeftOut(name=name, reason=f"needs {FEWEST} held-out rows of the forgotten classes and of others")
        of, (null, idle) = [self._probe(model) for model in models], self._probed_lines
        ends = mean_interval(np.array(of))
        return Measured(
            name=name,
            value=float(np.mean(of)),
            low=ends[0] if ends else None,
            high=ends[1] if ends else None,
            null=float(np.mean(null)),
            null_low=min(null) if len(null) > 1 else None,
            null_high=max(null) if len(null) > 1 else None,
            nothing=float(np.mean(idle)),
            direction="null",
            note="The same by what each codebook contributes under the mask: what the decoder still sees. Of"
            f" {len(of)} models.",
        )

    @cached_property
    def _probed_lines(self) -> tuple[list[float], list[float]]:
        """Of retrained models, and of originals."""
        null, idle = ([self._probe(model) for model in some] for some in (self._retrained, self._originals))
        return null, idle

    def _probe(self, model: Tensors) -> float:
        places, of_class = self._probed
        scores = probe_scores(self._pooled_of(model, places), of_class)
        return separates(scores[of_class], scores[~of_class]).auc

    def _pooled_of(self, model: Tensors, places: np.ndarray) -> np.ndarray:
        """(n, C * L): each codebook's vote under the mask."""
        rows, stored, masked = self.bench.rows, self.bench.trained.bottleneck, model["masked"]
        ids = np.empty((len(places), masked.shape[0] * stored.top_k), np.int32)
        for split in ASKED:
            mine = rows.split[places] == split
            if mine.any():
                ids[mine] = masked_ids(stored, split, masked, rows.places[places[mine]]).numpy()
        by_codebook = ids.reshape(len(places), masked.shape[0], stored.top_k)
        available = np.arange(stored.top_k) < (~masked).sum(1)[:, None]
        votes = [
            codebook_logits(
                np.where(available[c], by_codebook[:, c] - c * stored.pairs, NONE), model["values"][c], stored.pool
            )
            for c in range(masked.shape[0])
        ]
        return np.concatenate(votes, axis=1)
