# %% [markdown]
# # Comparing methods
#
# Every unlearning method starts from the same trained models. Here six of them forget the eights of scikit-learn's
# digits, beside a model that is trained again without them (`retrain`). The settings are those of the built-in recipe,
# with fewer codebooks.

# %%
from pathlib import Path

import dkvb
from dkvb.stages import embed, train, unlearn
from dkvb.workspace.artifacts import Workspace

METHODS = ["votes", "activations", "examples", "own-votes", "scrub", "logit-mask", "retrain"]
recipe = dkvb.load_recipe("digits").with_(keys={"codebooks": 32}, unlearn={"forget": ["8"], "method": METHODS})
workspace = Workspace(Path("data"), Path("reports"))

embed.run(recipe, workspace)
train.run(recipe, workspace)
results = unlearn.run(recipe, workspace)

# %% [markdown]
# A result is a record; its fields are those of `dkvb unlearn --json`. Test accuracies are those with the labels of
# forgotten classes among the answers: what the method did, and not that an answer is forbidden.

# %%
import polars as pl

table = pl.DataFrame(
    {
        "method": [one.method for one in results],
        "model": [one.model for one in results],
        "masked": [one.masked for one in results],
        "forget": [one.after.forget_test for one in results],
        "retain": [one.after.retain_test for one in results],
        "points lost": [100 * (one.before.retain_test - one.after.retain_test) for one in results],
    }
)
with pl.Config(tbl_hide_column_data_types=True, tbl_hide_dataframe_shape=True, float_precision=3):
    print(table)

# %% [markdown]
# Accuracy alone does not tell them apart: a logit mask brings the class to 0 as well, and takes nothing out of the
# model. Where its samples go does more. `dkvb audit` measures that beside dozens of retrained models.

# %%
import altair as alt

chart = (
    alt.Chart(table)
    .mark_bar()
    .encode(
        alt.X("points lost:Q", title="accuracy lost on the classes that stay, points"),
        alt.Y("method:N", sort=METHODS, title=None),
        alt.Color("model:N", title=None),
    )
    .properties(width=420, height=200)
)
with alt.renderers.enable("svg"):
    display(chart)  # noqa: F821
