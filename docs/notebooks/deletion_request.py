# %% [markdown]
# # A deletion request, from start to receipt
#
# Somebody asks that a class be deleted: here the eights of scikit-learn's digits. Everything is done with commands, as
# it would be by whoever answers requests. First there has to be a model:

# %% language="bash"
# dkvb embed --recipe digits
# dkvb train

# %% [markdown]
# ## Forget
#
# From here on nothing that dkvb loads from this workspace answers 8. The values are still on disk, under a mask:
# `dkvb restore r0001` would take it back.

# %% language="bash"
# dkvb forget 8 --reason "asked for on 3 March"

# %%
import dkvb

model = dkvb.load("data")
before = dkvb.load("data", requests=False)
print("pairs masked:", model.mask.sum(), "of", model.mask.size)
print("answers left:", [model.classes[c] for c in range(10) if c not in model.about.no_answer])
print("without the request:", before.classes)

# %% [markdown]
# ## Verify
#
# The model is held against one that is trained again without the class. *Not shown* is what an interval leaves open: 35
# test rows are few.

# %% language="bash"
# dkvb verify --quick --max-forget 0.1

# %% [markdown]
# ## Purge
#
# This cannot be taken back: rows, ids and codes of the class and the values of the masked pairs are overwritten, and
# every file of workspace and reports is searched for what is left of them.

# %% language="bash"
# dkvb purge r0001 --yes

# %% [markdown]
# ## Receipt
#
# What was done, what is kept, and what is not claimed; as JSON and as a page. The ledger's head goes to whoever wants
# to check later that nothing was rewritten.

# %% language="bash"
# dkvb receipt r0001
# dkvb ledger

# %%
import json
from pathlib import Path

receipt = json.loads(Path("data/receipts/r0001-8.json").read_text())
print(sorted(receipt))
