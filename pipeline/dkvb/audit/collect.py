"""Outputs of somebody else's models, from a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dkvb.audit.outputs import Margins, Outputs
from dkvb.errors import DkvbError, UsageError, nearest
from dkvb.sources.npz import read_npz

LOGITS = ("unlearned", "retrained", "labels", "forget")
MORE = ("original", "split", "classes", "untrained", "member")
MARGINS = ("unlearned_margins", "retrained_margins")
MORE_MARGINS = ("original_margins", "part")


def read_outputs(path: Path) -> Outputs | Margins:
    """What somebody else's models answered, from an .npz file.

    It holds `unlearned` (S, P, L), `retrained` (N, P, L), `labels` (P,) and `forget`, class ids; beside them, where
    there are such, `original` (S', P, L), `split` (P,), `classes` (L,), `untrained` (P, L) and `member` (S, P). One
    model may be (P, L). Retrained models may lack the outputs of the forgotten classes. Or it holds margins alone:
    `unlearned_margins` (S, P), `retrained_margins` (N, P) and, where there are such, `original_margins` and `part`
    (P,).

    Raises:
        UsageError: no such file.
        DkvbError: it cannot be read, an array is missing or unknown, or they don't belong together.
    """
    if not path.is_file():
        raise UsageError(f"{path} is no file: give an .npz file with {', '.join(LOGITS)} (and original).")
    held = _names(path)
    if set(MARGINS) & set(held) and "unlearned" not in held:
        arrays = read_npz(path, MARGINS, MORE_MARGINS)
        with _of(path):
            return Margins(
                arrays["unlearned_margins"],
                arrays["retrained_margins"],
                arrays.get("original_margins"),
                _texts(arrays.get("part")),
            )
    arrays = read_npz(path, LOGITS, MORE)
    with _of(path):
        return _outputs(arrays)


@contextmanager
def _of(path: Path) -> Iterator[None]:
    """Errors within name the file."""
    try:
        yield
    except DkvbError as error:
        raise DkvbError(f"{path}: {error}") from None


def _texts(names: np.ndarray | None) -> np.ndarray | None:
    """(P,) of str, from text or bytes."""
    if names is None or names.dtype.kind == "U":
        return names
    if names.dtype.kind != "S":
        raise DkvbError(f"split and part are names, not {names.dtype}.")
    return np.char.decode(names, "utf-8")


def _names(path: Path) -> list[str]:
    """Names of the arrays in a file, all of them known."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            held = list(getattr(archive, "files", []))
    except Exception:  # zip, zlib and NumPy raise nearly anything on altered files: the reader says what is wrong
        held = []
    known = (*LOGITS, *MORE, *MARGINS, *MORE_MARGINS)
    for name in held:
        if name not in known:
            raise DkvbError(f"{path}: there is no array '{name}' of outputs{nearest(name, known)}.")
    return held


def _outputs(arrays: Mapping[str, np.ndarray]) -> Outputs:
    forget = tuple(int(c) for c in np.atleast_1d(arrays["forget"]))
    logits = {name: _models(name, arrays[name]) for name in ("unlearned", "retrained", "original") if name in arrays}
    logits["retrained"] = widened(logits["retrained"], forget, logits["unlearned"].shape[2])
    member, names = arrays.get("member"), arrays.get("classes")
    return Outputs(
        **logits,
        labels=arrays["labels"],
        forget=forget,
        split=_texts(arrays.get("split")),
        untrained=arrays.get("untrained"),
        member=None if member is None else np.atleast_2d(member).astype(bool),
        names=None if names is None else tuple(map(str, names)),
    )


def _models(name: str, logits: np.ndarray) -> np.ndarray:
    if logits.ndim not in (2, 3):
        raise DkvbError(
            f"{name} has shape {logits.shape}; it must be (models, rows, classes), or of one model (rows, classes)."
        )
    return logits[None] if logits.ndim == 2 else logits


def widened(logits: np.ndarray, forget: Sequence[int], classes: int) -> np.ndarray:
    """Logits (N, P, L) of models that have outputs for the retained classes alone, in their order, (N, P, L - F): with
    minus infinity for the others. Any other number of outputs is left as it is."""
    if logits.shape[2] != classes - len(set(forget)) or not len(forget):
        return logits
    wide = np.full((*logits.shape[:2], classes), -np.inf, np.result_type(logits.dtype, np.float32))
    wide[:, :, np.setdiff1d(np.arange(classes), forget)] = logits
    return wide
