"""The three levels of forgetting, in the words that every command and page uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Level = Literal["hidden", "erased", "exact"]

WORDS: Mapping[Level, str] = {
    "hidden": (
        "masked: the pairs that vote for it are passed over, and all else stays as it is; nothing is erased, and"
        " `dkvb restore` takes it back in milliseconds"
    ),
    "erased": (
        "masked for good: the values of the masked pairs and the rows of its samples are overwritten; values that stay"
        " were trained together with it"
    ),
    "exact": (
        "as if never learned, given the keys: values were trained again from the start on the cached codes, without its"
        " samples; the keys were fitted with them"
    ),
}
"""Level -> what it means for the classes or samples of a request."""

NEW_KEYS = (
    "as if never learned: its samples were erased, keys were fitted anew and values trained again from the start"
    " without them"
)
"""What it means once `dkvb purge --keys reinit` has fitted new keys."""

UNPURGED = "what was learned with it stays on disk until `dkvb purge` erases it, so that `dkvb restore` gives it back"
"""What an exact request that is not purged adds."""
