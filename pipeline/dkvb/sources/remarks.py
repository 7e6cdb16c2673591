"""What opening a data set finds worth saying: notes, doubts, and files that were passed over, counted by reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SYSTEM = "left by the operating system"
"""The reason of files that never hold data (`.DS_Store`, `._x.jpg`, `__MACOSX`), the only one that `data.strict` lets
pass."""


@dataclass(frozen=True)
class PassedOver:
    """Files that were found and not taken for one reason."""

    count: int
    example: str
    """One of them."""


@dataclass
class Remarks:
    """Collects what is to be said of a data set while it is opened."""

    notes: list[str] = field(default_factory=list)
    """What was done, a sentence each."""
    doubts: list[str] = field(default_factory=list)
    """What may well be a mistake, a sentence each: a warning, and an error with `data.strict`."""
    passed_over: dict[str, PassedOver] = field(default_factory=dict)

    def pass_over(self, reason: str, example: str, count: int = 1) -> None:
        """Count files that are not taken, such as "no image (.txt)"."""
        so_far = self.passed_over.get(reason)
        self.passed_over[reason] = PassedOver(
            count + (so_far.count if so_far else 0), so_far.example if so_far else example
        )


def in_words(passed_over: Mapping[str, PassedOver]) -> list[str]:
    """A sentence for each reason."""
    return [
        f"{of.count:,} {'file' if of.count == 1 else 'files'} passed over: {reason}"
        f" ({'' if of.count == 1 else 'such as '}{of.example})"
        for reason, of in passed_over.items()
    ]


def refused(passed_over: Mapping[str, PassedOver]) -> Mapping[str, PassedOver]:
    """Those that are an error where `data.strict` is set."""
    return {reason: of for reason, of in passed_over.items() if reason != SYSTEM}
