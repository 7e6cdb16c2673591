# %% [markdown]
# # A method of your own
#
# An unlearning method is a class in a package of yours. This one masks the pairs that are most decided for the
# forgotten class: by how much a pair's vote for it is above its vote for any other class. First some made-up data, and
# trained models.

# %% language="bash"
# cat > dkvb.toml <<'END'
# name = "made-up"
# [data]
# source = "arrays"
# validation = 0.1
# [keys]
# codebooks = 32
# pairs = 64
# top_k = 3
# [train]
# epochs = 5
# END

# %%
from pathlib import Path

import numpy as np

import dkvb
from dkvb.stages import embed, train
from dkvb.workspace.artifacts import Workspace

rng = np.random.default_rng(0)
y = np.arange(1500) % 5
x = (rng.standard_normal((5, 32))[y] + 1.5 * rng.standard_normal((1500, 32))).astype(np.float32)
source = dkvb.from_arrays(x, y, classes=["cat", "dog", "horse", "ship", "truck"])

recipe = dkvb.load_recipe("dkvb.toml")
workspace = Workspace(Path("data"), Path("reports"))
embed.run(recipe, workspace, source=source)
train.run(recipe, workspace)

# %% [markdown]
# ## The class
#
# `PairRanking` does all but the ranking: `gather` looks at what the ranking needs, `rank` says from which n on each
# pair is masked. n is chosen as for dkvb's own methods: as few pairs as bring the class's own rows to 0.

# %%
# %%writefile margins.py
from dkvb.bottleneck.votes import rank_by_score
from dkvb.methods.pair_masking import PairRanking


class Margins(PairRanking):
    name = "margins"
    dial = "N_m"  # what n counts, as people read it
    title = "Margins"  # what pages call it
    plain = "hides the pairs that are most decided for the forgotten class"

    @property
    def given(self):
        return self.recipe.na  # --na: a number, or "auto"

    def gather(self):
        """Scores (C, M): the smallest lead of a vote for a forgotten class over votes for those that stay."""
        values = self.trained.bottleneck.values
        stays = [c for c in range(values.shape[2]) if c not in self.forgotten]
        return (values[:, :, self.forgotten].min(2) - values[:, :, stays].max(2)).clip(min=0)

    def rank(self, gathered):
        return rank_by_score(gathered, self.trained.seed, self.forgotten)


# %% [markdown]
# ## Trying it
#
# A method takes one seed's trained models and the ids of the classes; nothing has to be installed to try it.

# %%
from margins import Margins

from dkvb.evaluation.seed import TrainedSeed
from dkvb.workspace.requests import need_features

trained = TrainedSeed(recipe, workspace, need_features(recipe, workspace), seed=0)
truck = trained.splits.classes.index("truck")
method = Margins(trained, [truck])
n = method.choose_n().n
outcome = method.forget(n)
labels = trained.splits.labels["test"]
for what, predicted in (("before", outcome.before["test"]), ("after", outcome.after["test"])):
    right = predicted == labels
    print(f"{what}: truck {right[labels == truck].mean():.1%}, the others {right[labels != truck].mean():.1%}")
print(f"{outcome.masked} of {method.shape[0] * method.shape[1]} pairs masked")

# %% [markdown]
# ## As a plug-in
#
# With an entry point `dkvb.methods`, `dkvb unlearn --method margins`, its help and the report know the method. Here the
# package is installed into a folder; `pip install .` is what one would do otherwise.

# %% language="bash"
# cat > pyproject.toml <<'END'
# [build-system]
# requires = ["hatchling"]
# build-backend = "hatchling.build"
#
# [project]
# name = "margins"
# version = "1.0"
# dependencies = ["dkvb"]
#
# [project.entry-points."dkvb.methods"]
# margins = "margins:Margins"
#
# [tool.hatch.build]
# include = ["margins.py"]
# END

# %% language="bash"
# pip install --quiet --no-deps --no-build-isolation --target installed .
# export PYTHONPATH=installed:$PYTHONPATH
# dkvb unlearn --forget truck --method margins --method votes

# %% [markdown]
# On these data dkvb's own votes do better: a pair that votes for the class, and for another one more, is never masked
# here, and many such pairs together still recognise it.
