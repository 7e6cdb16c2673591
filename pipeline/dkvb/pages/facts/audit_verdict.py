"""What an audit comes to, in sentences: which method is closest to retraining, at what cost, and where votes stands and
loses. All of it is computed from the record, whoever wins."""

from __future__ import annotations

from dataclasses import dataclass

from dkvb.pages.facts.audit_measures import noise, working
from dkvb.pages.facts.audited import RETAIN, VOTES, Group, distances, groups, names, of_retained
from dkvb.pages.facts.words import duration, listed, measure, percent, plural
from dkvb.records.audit import Audit, AuditEntry, Measured

SAID = 3
"""Measures, or methods, that a sentence names at most."""

SHARE = "destinations, each"
"""The distance that is a share of probability."""


@dataclass(frozen=True)
class Finding:
    """What is found, and how that stands."""

    lead: str
    rest: str = ""

    def __str__(self) -> str:
        return self.lead + self.rest


def verdict(audit: Audit) -> list[Finding]:
    """One for each kind of model, and the place of votes."""
    found = distances(audit)
    if not found:
        return [Finding("No distance from retrained models could be measured", ", so methods are not ranked.")]
    ranked = [group for group in groups(audit) if _ranked(group)]
    if not ranked:
        return [Finding("No method has the measure that ranks them", f" ({found[0]}).")]
    said = [_closest(audit, group, found[0], whole=group is ranked[0]) for group in ranked]
    return [*said, *_votes(audit)]


def _ranked(group: Group) -> list[AuditEntry]:
    """The methods that have a distance, the closest first."""
    return [one for one in group.methods if group.distance in one.measures]


def _closest(audit: Audit, group: Group, distance: str, whole: bool) -> Finding:
    """`whole`: what the numbers are is said, too."""
    first, *others = _ranked(group)
    best = first.measures[distance]
    lead = f"On {group.words}, {first.label} is closest to retraining"
    among = f"of {len(others) + 1} methods" if others else "and the only method"
    said = [f", {among}: {_apart(distance, best, whole)}."]
    if caution := noise(audit, distance):
        said.append(f"{caution}.")
    said += [_told(best, others, distance), _costs(group, first)]
    return Finding(lead, " ".join(part for part in said if part))


def _apart(distance: str, best: Measured, whole: bool) -> str:
    """How far it is, beside the null and doing nothing."""
    shown = percent if distance == SHARE else measure
    words = shown(best.value)
    if whole and distance == SHARE:
        words += " of a forgotten sample’s probability lies elsewhere than in a retrained model"
    elif whole:
        words = f"its {distance} is {words}"
    null = f"{shown(best.null)} between retrained models" if best.null is not None else ""
    nothing = f"{shown(best.nothing)} with nothing unlearned" if best.nothing is not None else ""
    beside = ", ".join(part for part in (null, nothing) if part)
    return f"{words} ({beside})" if beside else words


def _told(best: Measured, others: list[AuditEntry], distance: str) -> str:
    """Whether it can be told from retraining, and which others cannot."""
    if best.at_null is None:
        return ""
    if not best.at_null:
        return "By this it can still be told from retraining."
    also = [one.label for one in others if one.measures[distance].at_null]
    if not also:
        return "By this it cannot be told from retraining."
    named = also if len(also) <= SAID else [*also[:SAID], f"{len(also) - SAID} more"]
    return f"By this it cannot be told from retraining, nor can {listed(named)}."


def _costs(group: Group, entry: AuditEntry) -> str:
    if entry.seconds is None:
        return ""
    said = f"It takes {duration(entry.seconds)} a model"
    if entry.seconds_choosing is not None:
        said += f", and {duration(entry.seconds_choosing)} to choose its settings"
    again = group.retraining
    return f"{said}; retraining takes {duration(again)}." if again is not None else f"{said}."


def _votes(audit: Audit) -> list[Finding]:
    """One for each kind of model that votes was run on; of other people's outputs nothing."""
    found = [(group, one) for group in groups(audit) for one in group.methods if one.method == VOTES and group.models]
    if not found and audit.kinds:
        return [Finding("Masking by votes is not in this audit.")]
    return [_stands(audit, group, entry) for group, entry in found]


def _stands(audit: Audit, group: Group, entry: AuditEntry) -> Finding:
    if entry.error:
        return Finding(f"{entry.label} failed on {group.words}", f": {entry.error}")
    ranked = _ranked(group)
    place = f"{_place(ranked.index(entry) + 1)} of {len(ranked)}" if entry in ranked else "not ranked"
    said = [f" on {group.words}."]
    if (kept := entry.measures.get(RETAIN)) and kept.nothing is not None:
        said.append(
            f"It recognises {percent(kept.value)} of the samples of the classes that stay; {percent(kept.nothing)} were"
            " recognised before."
        )
    taken = [name for name in names(audit) if name in entry.measures]
    alike = [name for name in taken if entry.measures[name].at_null]
    said.append(f"In {len(alike)} of {plural(len(taken), 'measure', 'measures')} it cannot be told from retraining.")
    return Finding(f"{entry.label} is {place}", " ".join([*said, _loses(audit, group, entry, taken)]))


def _loses(audit: Audit, group: Group, entry: AuditEntry, taken: list[str]) -> str:
    """The measures that work in which it is not at the null and others are better, those with most others first."""
    behind = []
    for name in taken:
        mine = entry.measures[name]
        better = [one for one in group.better(name, entry) if not _overlap(one.measures[name], mine)]
        if better and not mine.at_null and _counts(audit, group, name):
            behind.append((len(better), name, better[0]))
    if not behind:
        return "In no measure that works is another method on the same models nearer to retraining beyond its interval."
    behind.sort(key=lambda one: -one[0])
    worst = [
        f"{name} ({measure(entry.measures[name].value)}; best, {first.label}: {measure(first.measures[name].value)})"
        for _, name, first in behind[:SAID]
    ]
    more = f", and in {len(behind) - SAID} more" if len(behind) > SAID else ""
    return f"Where it loses, intervals apart, to most others: {'; '.join(worst)}{more}."


def _counts(audit: Audit, group: Group, name: str) -> bool:
    """Whether a measure says anything: it works, or is of what unlearning costs, and is of enough models."""
    found = working(audit, group, name)
    works = of_retained(name) or (found is not None and found.works in ("yes", "mostly"))
    return works and not noise(audit, name)


def _overlap(one: Measured, other: Measured) -> bool:
    """Whether two intervals overlap; where either is missing they are taken not to."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.low <= other.high and other.low <= one.high


def _place(rank: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th") if rank % 100 not in (11, 12, 13) else "th"
    return "closest" if rank == 1 else f"{rank}{ending} closest"
