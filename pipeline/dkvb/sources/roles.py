"""What a folder's name says of its part in a data set."""

from __future__ import annotations

import re

TRAIN = "train"
TESTS = ("test", "eval", "val", "dev")
"""Parts that can test, the first that there is does."""

WORDS = {
    TRAIN: "train training trains trn trainval",
    "test": "test testing tests tst",
    "eval": "eval evaluation evaluate evaluating evals",
    "val": "val valid validation validate validating vals",
    "dev": "dev development devel",
}
ROLES = {word: role for role, words in WORDS.items() for word in words.split()}

_ABOUT = "images?|imgs?|pics?|photos?|pictures?|data|sets?|dataset|split|samples?"
"""What is written beside such a word without a break: trainset, testdata, imagestrain."""

_WORD = re.compile(f"(?:{_ABOUT})?({'|'.join(sorted(ROLES, key=len, reverse=True))})(?:{_ABOUT})*")


_NAMELESS = re.compile(f"(?:{_ABOUT}|all|unknown|unlabell?ed|unclassified|no_?class|none)")


def nameless(name: str) -> bool:
    """Whether a folder's name is no class's: "images", "unknown"."""
    return bool(_NAMELESS.fullmatch(name.lower()))


def role_of(name: str) -> str | None:
    """TRAIN, one of TESTS, or None: "Train", "train2017", "cifar10_test", "val_images" and "ImagesTrain" have one."""
    pieces = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    found = {ROLES[word[1]] for piece in pieces if (word := _WORD.fullmatch(piece.lower()))}
    if found == {TRAIN, "val"}:  # train_val: both together, to be trained on
        return TRAIN
    return found.pop() if len(found) == 1 else None
