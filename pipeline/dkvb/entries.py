"""What the registry holds of a name: where it is defined, and what can be said of it without importing it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal

from dkvb.errors import UsageError

Group = Literal["methods", "sources", "metrics"]
Family = Literal["masking", "training", "control"]

SOURCES = {
    "scrub": "Kurmanji et al. 2023",
    "finetune": "baseline of SSD and of OPTML's library",
    "ascent": "OPTML's library",
    "neggrad-plus": "Kurmanji et al. 2023",
    "random-labels": "SalUn's and Amnesiac's code",
    "salun": "Fan et al. 2024",
    "bad-teacher": "Chundawat et al. 2023",
    "boundary-shrink": "Chen et al. 2023",
    "boundary-expand": "Chen et al. 2023",
    "unsir": "Tarun et al. 2023",
    "delete": "DELETE, CVPR 2025",
    "l1-sparse": "Jia et al. 2023",
    "ssd": "Foster et al. 2024",
    "fisher": "Golatkar et al. 2020",
    "influence": "WoodFisher, as in OPTML's library",
    "certified": "Guo et al. 2020",
    "subspace": "Kodge et al. 2024",
    "esc": "ESC, CVPR 2025",
    "pour": "arXiv 2511.19339",
    "tilted": "TREW",
    "ridge-exact": "arXiv 2505.12239, RanPAC",
}
"""Method -> where it was published; docs/rivals.md says what is known of each."""


@dataclass(frozen=True)
class Entry:
    """A name and where what it stands for is defined, as `module:attribute`."""

    name: str
    target: str

    @property
    def foreign(self) -> bool:
        """Whether another package brings it."""
        return not self.target.startswith("dkvb.")

    def load(self) -> Any:
        """Import what the name stands for.

        Raises:
            UsageError: another package's entry that cannot be imported.
        """
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except Exception as error:  # another package's module raises what it likes
            if not self.foreign:
                raise
            raise UsageError(
                f"'{self.name}' is registered as {self.target}, which cannot be imported: {error}."
            ) from error


@dataclass(frozen=True)
class MethodEntry(Entry):
    """An unlearning method or control (`dkvb.methods.base.Method`), and what can be said of it without importing it."""

    family: Family = "control"
    """"masking": masks pairs, no gradient; "training": trains a model on; "control": what methods are compared with."""
    title: str = ""
    """What pages call it."""
    plain: str = ""
    """What it does, in plain words."""
    default: bool = False
    """Whether a recipe that names no methods runs it."""
    dial: str = ""
    """What its N counts, as people read it; "" where there is nothing to choose."""
    trains_on: bool = False
    """Whether what it leaves can be trained on the retain set afterwards (paper, section 5.4)."""
    in_paper: bool = True
    """Whether the paper has it; pages mark what is not."""
    defence: bool = False
    """Whether class membership inference attacks it by default (paper, Appendix D)."""
    rival: bool = False
    """Whether it is one of the published methods of docs/rivals.md, which help texts name together."""
    source: str = ""
    """Where it was published; "" for this package's own."""


@dataclass(frozen=True)
class SourceEntry(Entry):
    """A kind of data set (a function from a recipe's `[data]` to `dkvb.sources.base`'s ImageSource or
    FeatureSource)."""

    features: bool = False
    """Whether its rows are ready-made features, so that no encoder takes part."""
    own_data: bool = True
    """Whether data sets of this kind are told apart by their path; any other is one data set, wherever it lies."""
    settings: str = ""
    """Built-in recipe whose settings (all but `[data]`) recipes of this source have; "": its own, of the same name."""
    remote: bool = False
    """Whether `data.path` may also be a name on a server, which stays as it is where nothing lies at such a path."""
