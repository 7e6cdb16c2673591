"""Which methods an audit runs, and on what kind of model each works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from dkvb import registry
from dkvb.entries import MethodEntry
from dkvb.errors import UsageError, nearest
from dkvb.methods.on_head import Rival
from dkvb.records.audit import AuditEntry, Kind

KINDS: tuple[Kind, ...] = ("values", "linear", "ridge")
"""What is audited where no kinds are named: `values-keys` costs a fit of keys, and `converged` is one model alone."""

LINES = {"original": "Nothing unlearned", "retrained": "Retrained without the class"}
"""The two lines between which methods stand."""

ORACLES = ("retrain", "retrain-keys", "retrain-linear")
"""Methods that are the line `retrained` themselves."""

ON_RIDGE = "ridge-exact"
"""The one method that is of ridge regression."""


@dataclass(frozen=True)
class Subject:
    """A method on a kind of model, or one of the two lines."""

    method: str
    kind: Kind
    label: str
    family: str = "control"
    rival: bool = False
    source: str | None = None

    @property
    def key(self) -> str:
        return f"{self.method}-{self.kind}"

    @property
    def line(self) -> bool:
        return self.method in LINES

    def entry(self, **more: Any) -> AuditEntry:
        """Its entry, with what was found in `more`."""
        role = self.method if self.line else "unlearned"
        held: dict[str, Any] = {"role": role, "model": self.kind, "label": self.label, "family": self.family}
        nothing = ("settings", "seconds", "seconds_choosing", "flops", "bytes", "note", "error")
        return AuditEntry(
            method=self.method,
            rival=self.rival,
            source=self.source,
            **held,
            **{"measures": {}, "left_out": {}, **dict.fromkeys(nothing), **more},
        )


def subjects(kinds: Sequence[str] = (), methods: Sequence[str] = ()) -> list[Subject]:
    """The two lines of each kind, then all methods that work on it, in the registry's order.

    Args:
        kinds: by default `KINDS` or, where methods are named, those of them that these work on.
        methods: by default all.

    Raises:
        UsageError: an unknown kind or method, one that is a line itself, or a method that works on none of the kinds.
    """
    wanted = _kinds(kinds)
    known = registry.described_methods()
    for name in methods:
        if name not in known:
            raise UsageError(f"--methods {name}: there is no such method{nearest(name, known)}")
        if name in ORACLES:
            raise UsageError(f"--methods {name}: a retrained model is in every audit, as its line 'retrained'.")
    entries = [known[name] for name in known if name not in ORACLES and (not methods or name in methods)]
    found = [_subject(entry, kind) for kind in wanted for entry in entries if kind in _works_on(entry)]
    for name in methods:
        if name not in {subject.method for subject in found}:
            on = ", ".join(_works_on(known[name]))
            raise UsageError(
                f"--methods {name} works on {on}, and --kinds names {', '.join(wanted)}: name one of those."
            )
    used = [kind for kind in wanted if kinds or any(subject.kind == kind for subject in found)]
    lines = [Subject(name, kind, label) for kind in used for name, label in LINES.items()]
    return lines + found


def _kinds(kinds: Sequence[str]) -> list[Kind]:
    known: tuple[Kind, ...] = get_args(Kind)
    for kind in kinds:
        if kind not in known:
            raise UsageError(f"--kinds {kind}: there are no such models{nearest(kind, known)}")
    return [kind for kind in known if kind in (kinds or KINDS)]


def _subject(entry: MethodEntry, kind: Kind) -> Subject:
    label = entry.title or entry.name
    return Subject(entry.name, kind, label, entry.family, entry.rival, entry.source or None)


def _works_on(entry: MethodEntry) -> tuple[Kind, ...]:
    """The kinds of model that a method works on; another package's that cannot be imported is said to work on values,
    where running it says what is wrong."""
    if entry.name == ON_RIDGE:
        return ("ridge",)
    try:
        target = entry.load()
    except UsageError:
        return ("values",)
    on_head = isinstance(getattr(target, "rival", None), Rival) or getattr(target, "model", "dkvb") == "linear"
    return ("linear", "converged") if on_head else ("values", "values-keys")
