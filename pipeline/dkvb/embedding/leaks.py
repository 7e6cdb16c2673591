"""Leak check: the same content in train and test, or under more than one label, found by content hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dkvb.workspace.names import STORED_SPLITS

if TYPE_CHECKING:
    from PIL import Image

WIDTH = 16
"""Bytes of a content hash."""


SHOWN = 5


@dataclass(frozen=True)
class Leaks:
    """What content occurs more than once; an example is a pair of ids."""

    rows: dict[str, int]
    """Rows checked, by split."""
    shared: int = 0
    """Test rows whose content is in train as well."""
    shared_contents: int = 0
    """Distinct contents among them."""
    across_classes: int = 0
    """Distinct contents that stand under more than one label, be it within a split or across the two."""
    duplicates: int = 0
    """Rows of train that repeat an earlier one, whatever its label. By itself no leak."""
    examples: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Up to five pairs each for `shared` (train, test), `across_classes` ("train/3 (cat)", …) and `duplicates`."""

    @property
    def any(self) -> bool:
        """Whether test accuracy or forgetting would be measured wrongly: content is shared, or has several labels."""
        return bool(self.shared or self.across_classes)

    def describe(self) -> str:
        """One sentence for a user."""
        found = []
        if self.shared:
            share = self.shared / self.rows["test"]
            distinct, are = _count(self.shared_contents, "distinct content"), "is" if self.shared == 1 else "are"
            rows = f"{self.shared:,} of {self.rows['test']:,} test rows ({share:.1%}; {distinct})"
            found.append(f"{rows} {are} in train as well{self._such('shared')}")
        if self.across_classes:
            stand = "stands" if self.across_classes == 1 else "stand"
            contents = _count(self.across_classes, "content")
            found.append(f"{contents} {stand} under more than one class{self._such('across_classes')}")
        if self.duplicates:
            repeat = "row repeats" if self.duplicates == 1 else "rows repeat"
            found.append(f"{self.duplicates:,} training {repeat} another{self._such('duplicates')}")
        if not self.any:
            found.insert(0, "no leaks: train and test share no content, and none stands under two classes")
        return "; ".join(found) + "."

    def to_dict(self) -> dict[str, Any]:
        """The counts and examples as JSON takes them, `any` included."""
        pairs = {kind: [list(pair) for pair in listed] for kind, listed in self.examples.items()}
        return {"any": self.any, **asdict(self), "examples": pairs}

    def _such(self, kind: str) -> str:
        first = self.examples.get(kind)
        return f", such as {first[0][0]} and {first[0][1]}" if first else ""


def content_hash(value: Image.Image | np.ndarray) -> bytes:
    """16 bytes of blake2b over an image's mode, size and decoded pixels, or over a feature row's float32 bytes."""
    total = hashlib.blake2b(digest_size=WIDTH)
    if isinstance(value, np.ndarray):
        total.update(np.ascontiguousarray(value, np.float32).tobytes())
    else:
        total.update(f"{value.mode} {value.width} {value.height} ".encode())
        if value.mode == "P":
            # equal indices are equal pixels only with equal colours
            total.update(bytes(value.getpalette("RGBA") or ()))
        total.update(value.tobytes())
    return total.digest()


def content_hashes(values: Sequence[Image.Image] | np.ndarray) -> np.ndarray:
    """(N, 16) uint8: `content_hash` of N images or of each row of (N, D) features."""
    return np.frombuffer(b"".join(map(content_hash, values)), np.uint8).reshape(-1, WIDTH)


def find_leaks(
    hashes: Mapping[str, Sequence[bytes] | np.ndarray],
    labels: Mapping[str, np.ndarray],
    classes: Sequence[str],
    ids: Mapping[str, Sequence[str]] | None = None,
) -> Leaks:
    """Compare all rows of both splits by one sort: 1.3 million rows take about a second.

    Args:
        hashes: split ("train", "test") to (N, 16) uint8, or N strings of 16 bytes.
        labels: split to (N,) integers, places in `classes`.
        ids: split to N names for the examples; without them rows are called "train row 3". Only those shown are looked
            up.

    Raises:
        ValueError: hashes of another width, or not a label for each hash.
    """
    tables = {split: _table(hashes.get(split, ())) for split in STORED_SPLITS}
    given = {split: np.asarray(labels.get(split, ()), np.int64) for split in STORED_SPLITS}
    rows = {split: len(table) for split, table in tables.items()}
    for split in STORED_SPLITS:
        if given[split].shape != (rows[split],):
            raise ValueError(f"{split} has {rows[split]} hashes and labels of shape {given[split].shape}")
    words = np.concatenate(list(tables.values()))
    if not len(words):
        return Leaks(rows)
    label = np.concatenate(list(given.values()))
    test = np.arange(len(words)) >= rows["train"]

    # stable, so that each content's rows stay in order, train before test
    order = np.lexsort((words[:, 1], words[:, 0]))
    sorted_words = words[order]
    start = np.flatnonzero(np.r_[True, (sorted_words[1:] != sorted_words[:-1]).any(1)])
    end = np.r_[start[1:], len(order)]
    in_test = np.add.reduceat(test[order].astype(np.int64), start)
    in_train = end - start - in_test
    shared = (in_train > 0) & (in_test > 0)
    across = np.minimum.reduceat(label[order], start) != np.maximum.reduceat(label[order], start)
    repeated = in_train > 1

    def name(row: int, with_class: bool = False) -> str:
        split, place = ("test", row - rows["train"]) if test[row] else ("train", row)
        called = f"{split} row {place}" if ids is None else str(ids[split][place])
        return f"{called} ({classes[label[row]]})" if with_class else called

    def members(chosen: np.ndarray) -> list[np.ndarray]:
        groups = np.flatnonzero(chosen)
        groups = groups[np.argsort(order[start[groups]])][:SHOWN]
        return [order[start[group] : end[group]] for group in groups]

    examples = {
        "shared": [(name(found[0]), name(found[test[found]][0])) for found in members(shared)],
        "across_classes": [
            (name(found[0], True), name(found[label[found] != label[found[0]]][0], True)) for found in members(across)
        ],
        "duplicates": [(name(found[0]), name(found[1])) for found in members(repeated)],
    }
    return Leaks(
        rows,
        shared=int(in_test[shared].sum()),
        shared_contents=int(shared.sum()),
        across_classes=int(across.sum()),
        duplicates=int((in_train[repeated] - 1).sum()),
        examples={kind: pairs for kind, pairs in examples.items() if pairs},
    )


def _table(hashes: Sequence[bytes] | np.ndarray) -> np.ndarray:
    """(N, 2) uint64 view of N hashes."""
    if not isinstance(hashes, np.ndarray):
        if any(len(one) != WIDTH for one in hashes):
            raise ValueError(f"a content hash has {WIDTH} bytes")
        hashes = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, WIDTH)
    if hashes.dtype != np.uint8 or hashes.ndim != 2 or hashes.shape[1] != WIDTH:
        raise ValueError(f"hashes are {hashes.dtype} of shape {hashes.shape}; they must be uint8 of shape (N, {WIDTH})")
    return np.ascontiguousarray(hashes).view(np.uint64)


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
