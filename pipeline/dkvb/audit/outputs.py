"""What models answered, as arrays that belong together: logits, or margins alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dkvb.errors import DkvbError, some

SPLITS = ("test", "validation", "train")


@dataclass(frozen=True)
class Outputs:
    """Logits of models for the same P rows.

    Raises:
        DkvbError: arrays that don't belong together, or no row of the forgotten classes.
    """

    unlearned: np.ndarray
    """(S, P, L), of S models, each unlearned from an original of its own. A class that a model cannot answer has minus
    infinity; no other entry is infinite."""
    retrained: np.ndarray
    """(N, P, L), of N models that never saw the forgotten classes."""
    labels: np.ndarray
    """(P,) int64."""
    forget: tuple[int, ...]
    """Ids of the forgotten classes."""
    original: np.ndarray | None = None
    """(S', P, L), of models before anything was unlearned."""
    split: np.ndarray | None = None
    """(P,) test, validation or train; None: no model learned from any of them."""
    untrained: np.ndarray | None = None
    """(P, L), of a model that was never trained, for ZRF."""
    member: np.ndarray | None = None
    """(S, P) bool, whether each unlearned model had learned from the row before it was unlearned, for U-LiRA: of shadow
    models, each trained on a random half."""
    names: tuple[str, ...] | None = None
    """Names of the L classes."""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def held_out(self) -> np.ndarray:
        """(P,) bool: rows that no model learned from; all, where none is left otherwise."""
        if self.split is None:
            return np.ones(len(self.labels), bool)
        return np.asarray(self.split != "train")

    @property
    def forgotten(self) -> np.ndarray:
        """(P,) bool: rows of the forgotten classes."""
        return np.isin(self.labels, self.forget)

    def name(self, c: int) -> str:
        return self.names[c] if self.names else f"#{c}"


@dataclass(frozen=True)
class Margins:
    """Margins of models at the same P points, where there are no logits.

    Raises:
        DkvbError: arrays that don't belong together.
    """

    unlearned: np.ndarray
    """(S, P), see `dkvb.metrics.margins`."""
    retrained: np.ndarray
    """(N, P)."""
    original: np.ndarray | None = None
    part: np.ndarray | None = None
    """(P,) str: what each point is, "forget", "retain", "validation", …; measures are taken of each part."""

    def __post_init__(self) -> None:
        points = self.unlearned.shape[-1]
        for name, of in (("unlearned", self.unlearned), ("retrained", self.retrained), ("original", self.original)):
            if of is None:
                continue
            if of.ndim != 2 or of.shape[1] != points or not of.size:
                raise DkvbError(
                    f"{name}_margins has shape {of.shape}; it must be (models, points), of the {points:,} points of"
                    " unlearned_margins."
                )
            if np.isnan(of).any():
                raise DkvbError(f"{name}_margins holds values that are not numbers: leave such models out.")
        if self.part is not None and self.part.shape != (points,):
            raise DkvbError(f"part has shape {self.part.shape}; it must name the part of each of {points:,} points.")


def _check(outputs: Outputs) -> None:
    labels, points = outputs.labels, len(outputs.labels)
    if outputs.unlearned.ndim != 3 or not outputs.unlearned.size:
        raise DkvbError(
            f"unlearned has shape {outputs.unlearned.shape}; it must be (models, rows, classes), not empty."
        )
    classes = outputs.unlearned.shape[2]
    for name in ("unlearned", "retrained", "original"):
        of = getattr(outputs, name)
        if of is not None:
            _check_logits(name, of, (points, classes))
    if outputs.untrained is not None:
        _check_logits("untrained", outputs.untrained[None], (points, classes))
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not ((labels >= 0) & (labels < classes)).all():
        raise DkvbError(
            f"labels must be (rows,) integers from 0 to {classes - 1}, for the {classes} classes of the logits."
        )
    if not outputs.forget or not set(outputs.forget) < set(range(classes)):
        raise DkvbError(
            f"forget must name at least one of the classes 0 to {classes - 1}, and not all; it is"
            f" {some(outputs.forget) or 'empty'}."
        )
    if outputs.split is not None and (outputs.split.shape != labels.shape or set(outputs.split) - set(SPLITS)):
        raise DkvbError(f"split must say of each of the {points:,} rows whether it is of {', '.join(SPLITS)}.")
    if not (outputs.forgotten.any() and (outputs.held_out & ~outputs.forgotten).any()):
        raise DkvbError("There must be rows of the forgotten classes, and held-out rows of others: some are missing.")
    if outputs.member is not None and outputs.member.shape != outputs.unlearned.shape[:2]:
        raise DkvbError(
            f"member has shape {outputs.member.shape}; it must say of each unlearned model and row"
            f" {outputs.unlearned.shape[:2]} whether the model had learned from it."
        )
    if outputs.names is not None and len(outputs.names) != classes:
        raise DkvbError(f"classes names {len(outputs.names)} classes, and the logits are of {classes}.")


def _check_logits(name: str, of: np.ndarray, wanted: tuple[int, int]) -> None:
    if of.ndim != 3 or of.shape[1:] != wanted or not len(of):
        raise DkvbError(
            f"{name} has shape {of.shape}; it must be (models, rows, classes) = (…, {wanted[0]}, {wanted[1]}), as"
            " labels and unlearned have it."
        )
    if of.dtype.kind not in "fiu":
        raise DkvbError(f"{name} is {of.dtype}; logits must be real numbers.")
    for model, logits in enumerate(of):
        largest = logits.max(1)
        if not np.isfinite(largest).all():
            row = int(np.flatnonzero(~np.isfinite(largest))[0])
            raise DkvbError(
                f"{name}, model {model}, row {row}: logits must be numbers, and only minus infinity may stand for a"
                " class that is never answered, not for all of them."
            )
