"""A made-up audit: two kinds of models, methods on each, one that failed, and measures that are missing."""

from __future__ import annotations

from typing import Any

from dkvb.records.audit import Audit, AuditEntry, KindModels, Measured
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.manifest import Spec

DISTANCE, KLOM, RETAIN = "destinations, each", "KLoM, forgotten rows", "retain accuracy"

NOTHING: dict[str, float] = {DISTANCE: 0.9, RETAIN: 0.98, KLOM: 10.0, "membership": 0.05, "tug of war": 0.0}

NULLS: dict[str, tuple[float, float, float]] = {
    DISTANCE: (0.1, 0.08, 0.12),
    RETAIN: (0.97, 0.96, 0.98),
    KLOM: (5.0, 4.0, 6.0),
    "membership": (0.04, 0.01, 0.09),
    "tug of war": (0.99, 0.98, 1.0),
}


def measured(name: str, value: float, width: float = 0.01, **more: Any) -> Measured:
    """A measure whose interval reaches `width` to either side."""
    null, low, high = NULLS[name]
    held: dict[str, Any] = {
        "name": name,
        "value": value,
        "low": value - width,
        "high": value + width,
        "null": null,
        "null_low": low,
        "null_high": high,
        "nothing": NOTHING[name],
        "direction": "higher" if name in (RETAIN, "tug of war") else "lower",
        "separates": {DISTANCE: 1.0, "membership": 0.62, RETAIN: 0.7, "tug of war": 0.9}.get(name),
        "note": f"What {name} is (Source et al. 2024). {value:g} is of this value alone.",
    }
    return Measured.model_validate(held | more)


def entry(method: str, values: dict[str, float], model: str = "values", **more: Any) -> AuditEntry:
    held: dict[str, Any] = {
        "method": method,
        "label": {"votes": "Masking by votes (ours)", "pour": "POUR"}.get(method, method),
        "role": method if method in ("original", "retrained") else "unlearned",
        "model": model,
        "family": "masking",
        "rival": method == "pour",
        "source": None,
        "seed": 0,
        "forget": [1],
        "models": 10,
        "settings": None,
        "measures": {name: measured(name, value) for name, value in values.items()},
        "left_out": {},
        "seconds": 0.25,
        "seconds_choosing": None,
        "flops": None,
        "bytes": None,
        "note": None,
        "error": None,
    }
    return AuditEntry.model_validate(held | more)


def kind(name: str) -> KindModels:
    held = {"originals": 10, "oracles": 20, "held_out": 10, "seconds_originals": [4.0], "seconds_oracles": [2.0, 3.0]}
    return KindModels.model_validate({"kind": name, **held})


def entries() -> list[AuditEntry]:
    """Activations is nearer than votes, beyond its interval; POUR lacks a measure, and esc failed."""
    none = dict.fromkeys(("seconds", "seconds_choosing"))
    votes = {DISTANCE: 0.3, RETAIN: 0.97, KLOM: 8.0, "membership": 0.04, "tug of war": 0.9}
    activations = {DISTANCE: 0.2, RETAIN: 0.95, KLOM: 7.0, "membership": 0.03, "tug of war": 0.98}
    return [
        entry("original", NOTHING, **none),
        entry("retrained", {name: null for name, (null, _, _) in NULLS.items()}, **none),
        entry("votes", votes, settings="N_v 1,000", seconds=0.5, seconds_choosing=1.5),
        entry("activations", activations, bytes=2048, flops=3_000_000),
        entry("retrained", {DISTANCE: 0.1, RETAIN: 0.97}, "linear", **none),
        entry("pour", {DISTANCE: 0.125, RETAIN: 0.9}, "linear", left_out={KLOM: "needs <margins>"}, note="A note."),
        entry("esc", {}, "linear", error="it is singular"),
    ]


def audit(**more: Any) -> Audit:
    held: dict[str, Any] = {
        "name": "digits",
        "data": "digits",
        "classes": ["zero", "one", "two"],
        "forget": [1],
        "forget_names": ["one"],
        "seed": 0,
        "oracles": 20,
        "unlearned": 10,
        "kinds": [kind("values"), kind("linear")],
        "points": 360,
        "says": ["Twenty models show large differences."],
        "seconds": 61.0,
        "entries": entries(),
    }
    return Audit.model_validate(held | more)


def stored(workspace: Workspace, made: Audit) -> None:
    """Keep an audit as `dkvb audit` does."""
    settings = {"kind": "audit", "name": made.name, "forget": made.forget, "seed": made.seed, "oracles": made.oracles}
    with workspace.claim(Spec("audit", f"{made.name}-audit", settings, {})) as claim:
        claim.finish(made, made.seconds)
