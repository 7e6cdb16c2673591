"""What each measure of an audit means, what so many models let it say, and whether it works."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dkvb.metrics.per_point import FEW
from dkvb.pages.facts.audited import Group, groups, names, of_retained
from dkvb.pages.facts.words import percent
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
    """Why it is missing -> of which methods, or on which models where it is missing on all of a kind."""

    @property
    def separated(self) -> list[str]:
        """How often it tells an original from a retrained model, for each kind of which that is known."""
        known = [(one.group.short, one.measured.separates) for one in self.working]
        return [f"{percent(share)} ({kind})" for kind, share in known if share is not None]

    @property
    def idle(self) -> bool:
        """Whether it is known to say nothing of forgetting, on any kind of model, though it is meant to."""
        return not of_retained(self.name) and all(one.works == "no" for one in self.working)


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
    return f"Noise: {models} models a side, and it needs about {FEW}"


def apart(note: str, sentence: str) -> str:
    """What a value's note says beyond what is said of all values."""
    shared = set(SENTENCES.split(sentence))
    return " ".join(one for one in SENTENCES.split(note) if one not in shared)


def why_missing(entry: AuditEntry, name: str) -> str:
    """Why an entry lacks a measure."""
    return entry.left_out.get(name) or (f"it failed: {entry.error}" if entry.error else "it was not taken")


def working(audit: Audit, group: Group, name: str) -> Working | None:
    """None where no model of the kind has the measure."""
    measured = group.beside(name)
    if measured is None:
        return None
    found = _works(measured)
    return Working(group, measured, found, "Noise." if noise(audit, name) else _words(name, found))


def _described(audit: Audit, all_groups: list[Group], name: str) -> Described:
    found = [one for group in all_groups if (one := working(audit, group, name))]
    held = [entry.measures[name] for entry in audit.entries if name in entry.measures]
    first = held[0]
    return Described(
        name=name,
        better=BETTER[first.direction],
        arrow=ARROWS[first.direction],
        sentence=_shared([one.note for one in held]),
        noise=noise(audit, name),
        working=found,
        missing=_missing(all_groups, name),
    )


def _missing(all_groups: list[Group], name: str) -> dict[str, list[str]]:
    """Why a measure is missing -> methods, or kinds of model; a method that failed has no measures at all."""
    found: dict[str, list[str]] = {}
    for group in all_groups:
        there = [entry for entry in group.entries if not entry.error]
        reasons = {why_missing(entry, name) for entry in there if name not in entry.measures}
        for why in sorted(reasons):
            mine = [one for one in there if name not in one.measures and why_missing(one, name) == why]
            found.setdefault(why, []).extend([group.words] if mine == there else [one.label for one in mine])
    return found


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
        return "Not known: there is no threshold."
    if of_retained(name):
        return "Says what the others pay."
    return {
        "yes": "Works.",
        "mostly": "Mostly works.",
        "no": "Does not work here.",
    }[works]
