# %% [markdown]
# # Your own embeddings in ten lines
#
# An array of embeddings and their labels are enough: no workspace, no recipe, no command. Here they are made up, 2,000
# rows of 64 numbers around five centres; put your own in the place of `X` and `y`.

# %%
import numpy as np
from sklearn.model_selection import train_test_split

names = np.array(["cat", "dog", "horse", "ship", "truck"])
rng = np.random.default_rng(0)
y = np.arange(2000) % len(names)
X = rng.standard_normal((len(names), 64))[y] + 2 * rng.standard_normal((2000, 64))
X, X_test, y, y_test = train_test_split(X.astype(np.float32), names[y], test_size=0.25, stratify=y, random_state=0)

# %% [markdown]
# Ten lines from here to a model that has forgotten a class. `codebooks` and `pairs` are small, for small data; the
# defaults are 256 and 512.

# %%
import dkvb

model = dkvb.KeyValueClassifier(codebooks=64, pairs=128).fit(X, y)
print(f"as trained: {model.score(X_test, y_test):.1%} of {len(y_test)} test rows")
model.forget(["truck"])
trucks = y_test == "truck"
print(f"of the other classes: {model.score(X_test[~trucks], y_test[~trucks]):.1%}")
model.save("without-truck")
answers, counts = np.unique(model.predict(X_test[trucks]), return_counts=True)
print("what trucks are taken for:", dict(zip(answers.tolist(), counts.tolist(), strict=True)))

# %% [markdown]
# Was that forgetting? `verify` trains the model again without the class and compares. A check says *not-shown* where so
# few rows cannot tell.

# %%
verdict = model.verify(X_test, y_test, quick=True, max_forget=0.1)
for check in verdict.checks:
    print(f"{check.state}: {check.sentence}")

# %% [markdown]
# What is saved has no row for the class, no masked pair and none of your rows. `restore` works on the model that was
# fitted, not on what was saved.

# %%
print(dkvb.KeyValueClassifier.load("without-truck").classes_)
model.restore()
print(f"taken back: {model.score(X_test, y_test):.1%}")
