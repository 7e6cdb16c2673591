"""What a file's name says of features and labels: its split, its role, and the number or name that pairs it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dkvb.errors import DkvbError, some

TRAIN = frozenset(("train", "training"))
TEST = frozenset(("test", "testing"))
HELD_OUT = frozenset(("eval", "evaluation", "val", "valid", "validation", "dev"))
"""Names of a test set where none is called test."""

FEATURES = frozenset(
    ("x", "feature", "features", "feat", "feats", "embedding", "embeddings", "emb", "embs", "embed", "embeds")
)
LABELS = frozenset(("y", "label", "labels", "target", "targets", "meta", "metadata"))
NAMES = frozenset(("classes", "classnames", "labelnames", "class names", "label names"))
"""What a list of class names is called."""

_JOINED = re.compile(
    f"([xy])({'|'.join(sorted(TRAIN | TEST | HELD_OUT))})|({'|'.join(sorted(TRAIN | TEST | HELD_OUT))})([xy])"
)

Word = str | int
Role = Literal["features", "labels", "both", "names"]


@dataclass(frozen=True)
class Named:
    """A file, and what its name and its folders' names say."""

    path: Path
    split: str | None
    """The word, of TRAIN, TEST or HELD_OUT."""
    role: Role | None
    key: tuple[Word, ...]
    """All other words, numbers as such: `img_emb_007` and `metadata_7` have the same."""
    in_folder: bool
    """Whether a folder's name gave split or role, so that the file's own name may be anything."""

    @property
    def number(self) -> int | None:
        """The last number."""
        return next((word for word in reversed(self.key) if isinstance(word, int)), None)

    @property
    def order(self) -> tuple[int, str]:
        return (-1 if self.number is None else self.number, self.path.name)


def words(name: str) -> list[Word]:
    """The words and numbers of a name, in lower case: `X_train-007` is x, train, 7."""
    found: list[Word] = []
    for word in re.findall(r"\d+|[^\W\d_]+", name):
        if word.isdigit():
            found.append(int(word))
            continue
        for part in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+", word) if word.isascii() else [word]:
            joined = _JOINED.fullmatch(part.lower())
            found += [half for half in joined.groups() if half] if joined else [part.lower()]
    return [word for word, after in zip(found, [*found[1:], ""], strict=True) if not _of_images(word, after)]


def _of_images(word: Word, after: Word) -> bool:
    """Whether a word says what the features are of, as in `img_emb`, which their labels' names do not."""
    return word in ("img", "image") and after in FEATURES


def named(path: Path, above: Path) -> Named:
    """What the name of a file below a folder says."""
    split: str | None = None
    role: Role | None = None
    key: list[Word] = []
    in_folder = False
    parts = [*path.relative_to(above).parts[:-1], path.stem]
    for place, part in enumerate(parts):
        found = words(part)
        splits = [word for word in found if word in TRAIN | TEST | HELD_OUT]
        roles = {name for name, of in (("features", FEATURES), ("labels", LABELS)) for word in found if word in of}
        in_folder |= place < len(parts) - 1 and bool(splits or roles)
        split = str(splits[-1]) if splits else split
        if len(roles) == 1:
            role = "features" if "features" in roles else "labels"
        if place == len(parts) - 1 or not roles:  # a folder of features is called what it likes
            key += [word for word in found if word not in TRAIN | TEST | HELD_OUT | FEATURES | LABELS]
    own = [word for word in words(path.stem) if word not in TRAIN | TEST | HELD_OUT]
    if " ".join(map(str, own)) in NAMES:
        role, key = "names", []
    return Named(path, split, role, tuple(key), in_folder)


def tells(folder: str) -> bool:
    """Whether a folder's name says what is in it: a split, a role, or a number alone."""
    found = words(folder)
    return any(word in TRAIN | TEST | HELD_OUT | FEATURES | LABELS for word in found) or (
        len(found) == 1 and isinstance(found[0], int)
    )


def pair(features: Sequence[Named], labels: Sequence[Named]) -> list[tuple[Named, Named]]:
    """Files of features with the files of their labels, in order of their numbers.

    By all words of their names where these are the same on both sides; one alone with one alone where their numbers do
    not differ; else by their last number where that tells the files of each side apart.

    Raises:
        DkvbError: files without a partner, named.
    """
    if len(features) == len(labels) == 1 and None in (features[0].number, labels[0].number):
        return [(features[0], labels[0])]
    key = _words
    if {file.key for file in features} != {file.key for file in labels}:
        numbers = [[file.number for file in side] for side in (features, labels)]
        if all(None not in side and len(set(side)) == len(side) for side in numbers):
            key = _number
    left, right = _by(key, features), _by(key, labels)
    alone = [(left[one], "labels", labels) for one in left if one not in right]
    alone += [(right[one], "features", features) for one in right if one not in left]
    if alone:
        file, lacks, others = alone[0]
        there = some([other.path.name for other in sorted(others, key=lambda other: other.order)], 5)
        raise DkvbError(
            f"{file.path} has no {lacks} of its number or name (files of {lacks}: {there}; there are"
            f" {len(features)} of features and {len(labels)} of labels); add them, take it out, or name those that"
            " belong together alike."
        )
    return sorted(((left[one], right[one]) for one in left), key=lambda both: both[0].order)


def _words(file: Named) -> tuple[Word | None, ...]:
    return file.key


def _number(file: Named) -> tuple[Word | None, ...]:
    return (file.number,)


def _by(
    key: Callable[[Named], tuple[Word | None, ...]], files: Sequence[Named]
) -> dict[tuple[Word | None, ...], Named]:
    found: dict[tuple[Word | None, ...], Named] = {}
    for file in files:
        if (first := found.setdefault(key(file), file)) is not file:
            raise DkvbError(f"{first.path} and {file.path} have the same number or name; take out the one not meant.")
    return found


def check_whole(files: Sequence[Named]) -> None:
    """Refuse parts called `3-of-8` of which some are not there.

    Raises:
        DkvbError: naming the first that is missing.
    """
    for file in files:
        match [word for word in file.key if isinstance(word, int) or word == "of"]:
            case [*_, int(_), "of", int(count)]:
                pass
            case _:
                continue
        there = {_place(other) for other in files}
        first = min(there)
        if missing := [place for place in range(min(first, 1), count + min(first, 1)) if place not in there]:
            raise DkvbError(
                f"{file.path.parent} lacks part {some(missing)} of {count} (it has {some(sorted(there), 5)}); add it."
            )


def _place(file: Named) -> int:
    before = file.key[: len(file.key) - file.key[::-1].index("of") - 1] if "of" in file.key else file.key
    return next((word for word in reversed(before) if isinstance(word, int)), -1)
