"""What an audit comes to, in sentences: which method is closest to retraining, at what cost, and where votes stands and
loses. All of it is computed from the record, whoever wins."""

from __future__ import annotations

from dkvb.pages.facts.audit_measures import noise, working
from dkvb.pages.facts.audited import RETAIN, VOTES, Group, distances, groups, names, of_retained
from dkvb.pages.facts.words import duration, listed, measure, percent, plural
from dkvb.records.audit import Audit, AuditEntry, Measured

SAID = 3
"""Measures, or methods, that a sentence names at most."""

SHARE = "destinations, each"
"""The distance that is a share of probability."""


def verdict(audit: Audit) -> list[str]:
    """A sentence or more for each kind of model, and the place of votes."""
    found = distances(audit)
    if not found:
        return ["No distance from retrained models could be measured, so methods are not ranked."]
    ranked = [group for group in groups(audit) if _first(group, found[0])]
    if not ranked:
        return [f"No method has the measure that ranks them ({found[0]})."]
    said = [_closest(audit, group, found[0]) for group in ranked]
    return [*said, *_votes(audit, found[0])]


def _first(group: Group, distance: str) -> AuditEntry | None:
    return next((one for one in group.methods if distance in one.measures), None)


def _closest(audit: Audit, group: Group, distance: str) -> str:
    first = _first(group, distance)
    assert first
    best, others = first.measures[distance], sum(distance in one.measures for one in group.methods) - 1
    among = f"of {others + 1} methods" if others else "the only method"
    said = [f"On {group.words}, {first.label} is closest to retraining, {among}: {_apart(distance, best)}."]
    if caution := noise(audit, distance):
        said.append(f"{caution}.")
    said.append(_told(best, [one for one in group.methods[1:] if distance in one.measures], distance))
    said.append(_costs(group, first))
    return " ".join(part for part in said if part)


def _apart(distance: str, best: Measured) -> str:
    """How far it is, beside the null and doing nothing."""
    if distance == SHARE:
        words = f"{percent(best.value)} of a forgotten sample’s probability lies elsewhere than in a retrained model"
        shown = percent
    else:
        words, shown = f"its {distance} is {measure(best.value)}", measure
    null = f"{shown(best.null)} between retrained models" if best.null is not None else ""
    nothing = f"{shown(best.nothing)} where nothing is unlearned" if best.nothing is not None else ""
    beside = " and ".join(part for part in (null, nothing) if part)
    return f"{words} ({beside})" if beside else words


def _told(best: Measured, others: list[AuditEntry], distance: str) -> str:
    """Whether it can be told from retraining, and which others cannot."""
    if best.at_null is None:
        return ""
    if not best.at_null:
        return "Retrained models differ less: it can still be told from retraining."
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


def _votes(audit: Audit, distance: str) -> list[str]:
    """A paragraph for each kind of model that votes was run on."""
    found = [(group, one) for group in groups(audit) for one in group.methods if one.method == VOTES]
    if not found:
        return ["Masking by votes is not in this audit."] if audit.kinds else []
    return [" ".join(_stands(audit, group, entry, distance)) for group, entry in found]


def _stands(audit: Audit, group: Group, entry: AuditEntry, distance: str) -> list[str]:
    if entry.error:
        return [f"{entry.label} failed on {group.words}: {entry.error}"]
    said = []
    ranked = [one for one in group.methods if distance in one.measures]
    if entry in ranked:
        said.append(f"{entry.label} is {_place(ranked.index(entry) + 1)} of {len(ranked)} on {group.words}.")
    if (kept := entry.measures.get(RETAIN)) and kept.nothing is not None:
        said.append(
            f"It recognises {percent(kept.value)} of the other classes’ samples, where {percent(kept.nothing)} were"
            " recognised before."
        )
    taken = [name for name in names(audit) if name in entry.measures]
    alike = [name for name in taken if entry.measures[name].at_null]
    said.append(f"In {len(alike)} of {plural(len(taken), 'measure', 'measures')} it cannot be told from retraining.")
    return [*said, _loses(group, entry, taken)]


def _loses(group: Group, entry: AuditEntry, taken: list[str]) -> str:
    """The measures, of those that work, in which it is not at the null and most methods are better."""
    behind = []
    for name in taken:
        better = group.better(name, entry)
        works = working(group, name)
        if better and not entry.measures[name].at_null and (of_retained(name) or (works and works.works != "no")):
            behind.append((len(better), name, better[0]))
    if not behind:
        return "In no measure that works is another method on the same models better and nearer to retraining."
    behind.sort(key=lambda one: -one[0])
    worst = [
        f"{name} ({measure(entry.measures[name].value)}; {first.label} {measure(first.measures[name].value)}; "
        f"{plural(count, 'method is', 'methods are')} better)"
        for count, name, first in behind[:SAID]
    ]
    more = f", and in {len(behind) - SAID} more" if len(behind) > SAID else ""
    return f"It loses most in {listed(worst)}{more}."


def _place(rank: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th") if rank % 100 not in (11, 12, 13) else "th"
    return "closest" if rank == 1 else f"{rank}{ending} closest"
