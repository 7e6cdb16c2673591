"""What each measure of an audit means, what so many models let it say, and whether it works."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dkvb.metrics.per_point import FEW
from dkvb.pages.facts.audited import Group, common, groups, names, of_retained
from dkvb.records.audit import Audit, AuditEntry, Measured

Works = Literal["yes", "mostly", "no", "unknown"]

ALWAYS, MOSTLY = 0.95, 0.8
"""Areas under the ROC curve from which a measure tells originals from retrained models, and mostly does."""

BETTER = {"lower": "lower is better", "higher": "higher is better", "null": "the nearer to retrained models the better"}

ARROWS = {"lower": "↓", "higher": "↑", "null": "◇"}

SENTENCES = re.compile(r"(?<=[.])\s+(?=[A-Z0-9])")


@dataclass(frozen=True)
class Working:
    """Whether a measure tells originals from retrained models of one kind, and where its threshold lies."""

    group: Group
    measured: Measured
    works: Works
    words: str


@dataclass(frozen=True)
class Described:
    """One measure over all entries."""

    name: str
    better: str
    arrow: str
    sentence: str
    """What it is: all that is said of every value alike."""
    noise: str
    """What too few models make of it; "" where they are enough."""
    working: list[Working]
    missing: dict[str, list[str]]
    """Why it is missing -> the methods of which it is."""

    @property
    def tells(self) -> bool:
        """Whether it tells originals from retrained models of any kind, as far as is known."""
        return any(one.works != "no" for one in self.working)


def described(audit: Audit) -> list[Described]:
    """All measures that were taken."""
    return [_described(audit, groups(audit), name) for name in names(audit)]


def never_taken(audit: Audit) -> dict[str, str]:
    """Measures that no entry has -> why."""
    taken = set(names(audit))
    return {name: why for entry in audit.entries for name, why in entry.left_out.items() if name not in taken}


def noise(audit: Audit, name: str) -> str:
    """What stands beside a number of too few models: KLoM is noise below about 50."""
    models = min(audit.oracles // 2, audit.unlearned)
    if not name.startswith("KLoM") or models >= FEW:
        return ""
    return f"Noise: {models} models on either side, and it needs about {FEW}"


def why_missing(entry: AuditEntry, name: str) -> str:
    """Why an entry lacks a measure."""
    return entry.left_out.get(name) or (f"it failed: {entry.error}" if entry.error else "it was not taken")


def working(group: Group, name: str) -> Working | None:
    """None where no model of the kind has the measure."""
    measured = group.beside(name)
    if measured is None:
        return None
    found = _works(measured)
    return Working(group, measured, found, _words(name, found))


def _described(audit: Audit, all_groups: list[Group], name: str) -> Described:
    found = [one for group in all_groups if (one := working(group, name))]
    held = [entry.measures[name] for entry in audit.entries if name in entry.measures]
    lacking = [entry for entry in audit.entries if name not in entry.measures and not entry.error]
    first = held[0]
    return Described(
        name=name,
        better=BETTER[first.direction],
        arrow=ARROWS[first.direction],
        sentence=_shared([one.note for one in held]),
        noise=noise(audit, name),
        working=found,
        missing=common(lacking, lambda entry: why_missing(entry, name)),
    )


def _shared(notes: list[str]) -> str:
    """The sentences that all notes have."""
    every = [SENTENCES.split(note) for note in notes]
    return " ".join(one for one in every[0] if all(one in others for others in every))


def _works(measured: Measured) -> Works:
    if measured.separates is not None:
        return "yes" if measured.separates >= ALWAYS else "mostly" if measured.separates >= MOSTLY else "no"
    if measured.nothing is None or measured.null_low is None or measured.null_high is None:
        return "unknown"
    return "no" if measured.null_low <= measured.nothing <= measured.null_high else "yes"


def _words(name: str, works: Works) -> str:
    if works == "unknown":
        return "Not known: too few models, or no originals."
    if of_retained(name):
        return "Of the classes that stay: it says what unlearning costs them, not whether anything is forgotten."
    return {
        "yes": "Works: it tells originals from retrained models.",
        "mostly": "Mostly works: read it beside others.",
        "no": "Does not work here: it says nothing of unlearned models either.",
    }[works]
