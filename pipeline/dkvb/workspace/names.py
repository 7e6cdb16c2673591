"""Every file and array that artifacts hold, by name."""

from __future__ import annotations

MANIFEST = "manifest.json"
"""Written last: the mark that an artifact is done."""

CLAIM = "claim.json"
"""An artifact was begun; gone once it is done."""

CHECKPOINT = "checkpoint.safetensors"
"""A training that was interrupted goes on from here; gone once it is done."""

FILES = "files.parquet"
"""Embed: a row per image file."""

KEPT = "kept.npy"
"""Embed, in a split's folder once unreadable images have been left out: the source's rows that it holds."""

UNREADABLE = "unreadable.json"
"""Embed, beside it: what was wrong with each image that was left out."""

PROJECTION = "projection.safetensors"
"""Quantize: `projection` (C, D, d)."""

KEYS = "keys"
"""Quantize: array (C, M, d)."""

VALUES = "values.safetensors"
"""Train and retrained: `values` (C, M, L)."""

COUNTS = "counts"
"""Train: array (L, C, M), how often each class selected each pair in the last epoch."""

LINEAR = "linear.safetensors"
"""Train and retrained: the linear head's `weight` (L, D) and `bias` (L,)."""

CONVERGED = "converged.safetensors"
"""Train: the same of the head that was trained to convergence."""

LOGITS = "logits"
"""Oracles: array (models, P, L), what each model of a batch answers."""

MASK = "mask.safetensors"
"""Unlearn and requests: `mask`, the packed pairs, or `excluded`, classes that are never predicted."""

WEIGHTS = "weights.safetensors"
"""Unlearn: the weights of a model that unlearning changed."""

METRICS = "metrics.parquet"
"""Train: a row per epoch. Unlearn: correct predictions per class, split and time (before or after)."""

CURVE = "curve.parquet"
"""Unlearn: correct predictions per class, split and point of a sweep or epoch of training on."""

LOSSES = "losses.parquet"
"""Membership: a row per attacked sample."""

REQUEST = "request.json"
"""Requests: written last, what the request is."""

PICTURES = "pictures"
"""The stage whose artifacts hold small pictures, for the pages: `<split>/<row>.webp`."""

RECEIPTS = "receipts"
"""The folder of receipts, in the workspace and in the reports."""

MAKERS = {"retrained": "unlearn", "oracles": "audit", PICTURES: "report"}
"""Stages that belong to no command of their name -> the command that makes their artifacts where it needs them."""

LAST_RECIPE = "recipe.json"
"""The workspace itself: the recipe last used in it."""

STORED_SPLITS = ("train", "test")
"""Splits as they are stored; validation rows lie within train."""

MEASURED_SPLITS = ("test", "train")
"""Splits on which unlearning is measured, in the order of results; validation data come on top where there are some."""
