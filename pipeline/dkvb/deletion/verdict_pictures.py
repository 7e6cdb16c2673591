"""Pictures for the page of a verdict: what forgotten samples, and those that changed sides, are taken for."""

from __future__ import annotations

from dataclasses import dataclass, field

from dkvb.deletion.outputs import Models
from dkvb.pages.facts.answers import Answers
from dkvb.pages.facts.pictures import Samples, Sheet, samples
from dkvb.pictures.album import Album
from dkvb.recipe import Recipe
from dkvb.workspace.artifacts import Workspace


@dataclass
class VerdictPictures:
    """Those of one page: `verify.run` shows it the models of each seed."""

    recipe: Recipe
    workspace: Workspace
    by_seed: dict[int, Samples] = field(default_factory=dict)
    """Seed -> what its part of the page shows."""
    _sheet: Sheet | None = None

    def look(self, models: Models) -> None:
        """Choose samples of one seed's models, and take their pictures. Call within `reading(workspace)`."""
        splits, forget = models.rows.splits, models.rows.forget
        album = Album(self.workspace, self.recipe.data, on=self.recipe.report.pictures)
        if album.state(splits.features) is None:
            return
        self._sheet = self._sheet or Sheet(album, splits.features)
        rows, labels = splits.rows["test"], splits.labels["test"]
        predicted = [one.predicted["test"] for one in (models.lifted, models.masked, models.oracle)]
        shown = samples(self._sheet, Answers(rows, labels, *predicted), forget, splits.classes)
        if shown.any:
            self.by_seed[splits.seed] = shown
